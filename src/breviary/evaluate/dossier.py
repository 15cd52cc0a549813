"""What is known of one model, document by document, and how it was measured: what a later model is compared with.

A dossier is kept with each registered version, because data/ holds the models of one run only. Two dossiers can be
compared where they speak of the same documents, and where what both measured was measured in the same way.

    scores.jsonl    one record a document: every score of the summary, and nats a token (`summary_nats`, `text_nats`)
    settings.json   the settings of each kind of metric, as data/evaluation.json has them
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breviary import artifacts
from breviary.errors import ArtifactError
from breviary.evaluate.scores import OVERALL
from breviary.evaluate.scoring import Scored
from breviary.records import Likelihood

SCORES, SETTINGS = "scores.jsonl", "settings.json"
NATS = ("summary_nats", "text_nats")  # measured like scores; low is good
ASIDE = {"statistics", "splits"}  # settings that change no score of a document


@dataclass(frozen=True)
class Dossier:
    """One model's measurements."""

    model: str
    records: list[Scored]
    settings: dict[str, Any]

    @property
    def documents(self) -> set[str]:
        """The documents that it speaks of."""
        return {each.document for each in self.records}

    def values(self, domain: str, metric: str) -> dict[str, float]:
        """The metric's values by document, of one domain or "overall"; documents without a value are left out."""
        found = {each.document: each.scores.get(metric) for each in self.records if domain in (each.domain, OVERALL)}
        return {document: value for document, value in found.items() if value is not None}

    def means(self) -> dict[tuple[str, str], float]:
        """The mean of each metric in each domain."""
        domains = sorted({each.domain for each in self.records})
        metrics = sorted({metric for each in self.records for metric in each.scores})
        values = {(domain, metric): self.values(domain, metric).values() for domain in domains for metric in metrics}
        return {key: sum(each) / len(each) for key, each in values.items() if each}


def collect(
    model: str, scored: Sequence[Scored], likelihoods: Sequence[Likelihood], evaluation: Mapping[str, Any]
) -> Dossier:
    """The dossier of `model`, from what `evaluate` and `likelihood` wrote.

    Raises ArtifactError where the two speak of different documents, or of none.
    """
    nats = {each.document: _per_token(each) for each in likelihoods}
    mine = [each for each in scored if each.model == model]
    counts = Counter(each.document for each in mine)
    if not mine or counts.keys() != nats.keys() or len(nats) < len(likelihoods) or max(counts.values()) > 1:
        raise ArtifactError(
            f"{model}: {len(mine)} scores and {len(likelihoods)} likelihoods, which must be one of each for each "
            f"document; run the stages predict, likelihood and evaluate again"
        )
    records = [Scored(each.document, each.domain, model, each.scores | nats[each.document]) for each in mine]
    tokens = {f"{what}_tokens": sum(getattr(each, f"{what}_tokens") for each in likelihoods) for what in _WHAT}
    settings = {kind: how for kind, how in evaluation["settings"].items() if kind not in ASIDE}
    return Dossier(model, sorted(records, key=lambda each: each.document), settings | {"likelihood": tokens})


def obstacles(mine: Dossier, theirs: Dossier) -> list[str]:
    """Why the two cannot be compared, a line each; none where they can."""
    found = []
    if mine.documents != theirs.documents:
        shared = len(mine.documents & theirs.documents)
        found.append(
            f"{theirs.model} was scored on {len(theirs.documents)} documents, of which {shared} are among the "
            f"{len(mine.documents)} of {mine.model}"
        )
    both = sorted(mine.settings.keys() & theirs.settings.keys())
    if unlike := [kind for kind in both if mine.settings[kind] != theirs.settings[kind]]:
        found.append(f"{theirs.model} was scored with other settings of {', '.join(unlike)}")
    return found


def write(dossier: Dossier, folder: Path) -> None:
    """Write the dossier's two files into `folder`."""
    artifacts.write_records(folder / SCORES, dossier.records)
    artifacts.write_json(folder / SETTINGS, dossier.settings)


def read(folder: Path, model: str) -> Dossier:
    """The dossier in `folder`, which is called `model`. Raises ArtifactError where a file is missing or damaged."""
    records = artifacts.read_records(folder / SCORES, Scored)
    if not records:
        raise ArtifactError(f"{folder / SCORES}: no scores in it")
    return Dossier(model, records, artifacts.read_json(folder / SETTINGS))


_WHAT = ("summary", "text")


def _per_token(likelihood: Likelihood) -> dict[str, float | None]:
    """Nats a token; None of what was not measured."""
    counted = {what: (getattr(likelihood, f"{what}_nats"), getattr(likelihood, f"{what}_tokens")) for what in _WHAT}
    return {f"{what}_nats": nats / tokens if tokens else None for what, (nats, tokens) in counted.items()}
