"""Quality within a budget: what each profile makes of so many tokens, or of so many milliseconds.

    python -m bench.budget [--documents 12] [--model models/phase3]

Every test document is summarised under every arm, in an order drawn anew for each document, so that a slow moment of
the machine hits all arms alike. `planned` may take any profile, the best that fits; the others know their own alone.
Quality is ROUGE against the reference; milliseconds run from the request to the finished text. Milliseconds say
something on a machine that does nothing else. Writes metrics/budget.json and docs/figures/budget.svg, prints Markdown.
"""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch

from bench import budget_tables
from breviary import artifacts, config
from breviary.data.prompts import Prompt, Prompter
from breviary.errors import BudgetError
from breviary.evaluate.metrics import rouge
from breviary.model import generate, limit
from breviary.records import Document
from breviary.summarise import backbone, budget, budgeted, predictions
from breviary.summarise.budgeted import Writer

DOCUMENTS, SPLITS = Path("data/documents.jsonl"), Path("data/splits.json")
PLANNED = "planned"
GUESSED = 8  # tokens at a time, in the comparison of prompt lookup


@dataclass(frozen=True)
class Arm:
    """A profile and its budget; `ms` null is no limit."""

    profile: str  # or PLANNED
    max_tokens: int
    ms: int | None = None


@dataclass(frozen=True)
class Row:
    """What one arm made of one document."""

    arm: Arm
    document: str
    refused: bool = False  # the plan said that the time is too short; nothing below was measured
    used: str = ""  # the profile that was taken
    tokens: int = 0
    milliseconds: float = 0.0
    whole: bool = False
    rouge1: float = 0.0
    rougeL: float = 0.0


def arms(profiles: Sequence[str], tokens: Sequence[int], times: Sequence[int], most: int) -> list[Arm]:
    """Every profile with every number of tokens; every profile and the planner with every number of milliseconds."""
    return [
        *(Arm(name, count) for name in profiles for count in tokens),
        *(Arm(name, most, ms) for name in [*profiles, PLANNED] for ms in times),
    ]


def rows(
    writer: Writer, prompter: Prompter, chosen: Sequence[Document], tried: Sequence[Arm], seed: int
) -> Iterator[Row]:
    """Each document under each arm."""
    draw = random.Random(seed)
    writers = {name: _alone(writer, name) for name in writer.options.profiles} | {PLANNED: writer}
    for document in chosen:
        for arm in draw.sample(tried, len(tried)):
            yield _row(writers[arm.profile], prompter, document, arm)


def _alone(writer: Writer, profile: str) -> Writer:
    """A writer that knows this profile only, and so cannot fall back."""
    only = {profile: writer.options.profiles[profile]}
    return replace(writer, options=writer.options.model_copy(update={"profiles": only, "profile": profile}))


def _row(writer: Writer, prompter: Prompter, document: Document, arm: Arm) -> Row:
    asked = limit.start(arm.ms)
    try:
        made = writer.write(prompter.prompt(document.text), asked, max_tokens=arm.max_tokens)
    except BudgetError:
        return Row(arm, document.id, refused=True)
    spent = asked.spent_ms
    scores = rouge.score(made.text, document.summary, document.text)
    return Row(
        arm,
        document.id,
        used=made.profile,
        tokens=made.tokens,
        milliseconds=spent,
        whole=not made.flagged,
        rouge1=scores["rouge1"],
        rougeL=scores["rougeL"],
    )


def lookup(writer: Writer, prompts: Sequence[Prompt], guessed: int) -> dict[str, float]:
    """Tokens a second of greedy decoding with and without prompt lookup, and the share of equal texts."""
    plain = budget.settings(budget.Profile(beams=1, no_repeat_ngram=3), writer.options.max_tokens)
    speed: dict[int, list[float]] = {0: [], guessed: []}
    same = []
    for number, prompt in enumerate(prompts):
        texts = set()
        for count in sorted(speed, reverse=bool(number % 2)):
            began = time.perf_counter()
            (made,) = generate.generate(writer.model, writer.tokenizer, [prompt], plain | {"prompt_lookup": count})
            speed[count].append(made.tokens / (time.perf_counter() - began))
            texts.add(made.text)
        same.append(len(texts) == 1)
    ratios = [after / before for before, after in zip(speed[0], speed[guessed], strict=True)]
    return {
        "guessed": guessed,
        "tokens_per_second": statistics.median(speed[0]),
        "tokens_per_second_with_lookup": statistics.median(speed[guessed]),
        "ratio": statistics.median(ratios),
        "equal_texts": statistics.mean(same),
    }


@torch.inference_mode()
def prefix(writer: Writer, prompter: Prompter, prompt: Prompt, rounds: int = 5) -> dict[str, float]:
    """What it would save to read the instruction once: the time of a prompt whose beginning is already read."""
    shared, ids = len(prompter.prefix), torch.tensor([prompt.ids], device=writer.model.device)
    cache = writer.model(input_ids=ids[:, :shared], use_cache=True).past_key_values
    ratios = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        writer.model(input_ids=ids, use_cache=True, logits_to_keep=1)
        middle = time.perf_counter()
        writer.model(input_ids=ids[:, shared:], past_key_values=cache, use_cache=True, logits_to_keep=1)
        ratios.append((time.perf_counter() - middle) / (middle - began))
        cache.crop(shared - len(prompt.ids))
    return {"prefix_tokens": shared, "prompt_tokens": len(prompt.ids), "ratio": statistics.median(ratios[1:])}


@click.command(help=__doc__)
@click.option("--documents", "count", default=12, show_default=True, help="Of the test split.")
@click.option("--model", "adapter", type=click.Path(path_type=Path), default=Path("models/phase3"), show_default=True)
@click.option("--tokens", default="32,64,96,144", show_default=True, help="Budgets of tokens.")
@click.option("--ms", default="1000,2000,4000,8000", show_default=True, help="Budgets of milliseconds.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("metrics/budget.json"), show_default=True)
@click.option("--figure", type=click.Path(path_type=Path), default=Path("docs/figures/budget.svg"), show_default=True)
def main(count: int, adapter: Path, tokens: str, ms: str, out: Path, figure: Path) -> None:
    params = config.read(Path("params.yaml"))
    prompter = backbone.prompter(params)
    writer = budgeted.writer(params, budgeted.loaded(params, adapter), prompter.tokenizer, adapter)
    split = artifacts.read_json(SPLITS)
    everything = artifacts.read_records(DOCUMENTS, Document)
    chosen = predictions.select(everything, split, "test", None)[:count]
    lengths, times = ([int(word) for word in words.split(",")] for words in (tokens, ms))
    tried = arms(list(writer.options.profiles), lengths, times, writer.options.max_tokens)
    asked = [prompter.prompt(document.text) for document in chosen]
    for name in writer.options.profiles:  # the first run of each sets things up
        _row(_alone(writer, name), prompter, chosen[0], Arm(name, lengths[0]))
    made = list(rows(writer, prompter, chosen, tried, seed=0))
    found = {
        "documents": len(chosen),
        "arms": budget_tables.summary(made),
        "lookup": lookup(writer, asked, GUESSED),
        "prefix": prefix(writer, prompter, asked[0]),
    }
    artifacts.write_json(out, found)
    budget_tables.figure(found["arms"], figure)
    click.echo(budget_tables.markdown(found))


if __name__ == "__main__":
    main()
