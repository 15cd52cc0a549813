"""The examples that training watches and never learns from."""

from collections import defaultdict
from pathlib import Path

from breviary import artifacts
from breviary.data import batches
from breviary.data.batches import Row
from breviary.data.prompts import Prompter
from breviary.records import Example

VALID = Path("data/mixtures/valid.jsonl")


def rows(prompter: Prompter, limit: int | None = None) -> dict[str, list[Row]]:
    """At most `limit` of each domain as rows, domains in the alphabet's order."""
    found = defaultdict(list)
    for example in sorted(artifacts.read_records(VALID, Example), key=lambda each: each.domain):
        found[example.domain].append(example)
    return {domain: batches.rows(examples[:limit], prompter) for domain, examples in found.items()}
