"""Which faithfulness metric notices which error: AUC of reference summaries against the same ones made wrong.

    python -m bench.faithfulness [FILE.jsonl.gz ...] [--documents data/documents.jsonl] [--encoder models/encoder.json]

Each line of a file holds a `source_text` and its `summary`. Of every corpus one half of the documents, by hash, chooses
the threshold of `supported`; everything else is measured on the other half. A document's wrong things come from the
next document of its half and domain.

auc     the chance that a reference scores higher than a perturbed reference of any document, ties counting half
paired  ... than its own perturbed version
Both have percentile intervals of a bootstrap over documents. Documents where either score is missing are left out.
"""

import gzip
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from breviary import artifacts
from breviary.evaluate import statistics
from breviary.evaluate.measured import Texts
from breviary.evaluate.metrics import entities, numbers, support
from breviary.evaluate.perturbations import PERTURBATIONS, Case
from breviary.model import encoder, resolve
from breviary.records import Document, content_hash

SEED, RESAMPLES, LEVEL = 17, 2000, 0.95
METRICS = ("number_precision", "entity_precision", "support", "supported")
SEVERAL = 2  # documents: a half of a domain needs another document to take wrong things from

Scores = list[dict[str, float]]


@dataclass(frozen=True)
class Corpus:
    """The documents that choose the threshold, and those that all is measured on; each with the texts of another."""

    choosing: list[Case]
    measuring: list[Case]


def corpus(documents: Sequence[Document]) -> Corpus:
    """Two halves of each domain, in an order that only the documents' own content decides."""
    halves: tuple[list[Case], list[Case]] = ([], [])
    for domain in sorted({each.domain for each in documents}):
        order = sorted((each for each in documents if each.domain == domain), key=lambda each: content_hash(each.id))
        for half, cases in enumerate(halves):
            members = order[half::2]
            if len(members) < SEVERAL:
                raise click.ClickException(f"{domain}: {len(order)} documents; at least {2 * SEVERAL} are needed")
            following = [*members[1:], members[0]]
            cases += [
                Case(mine.summary, mine.text, other.summary, other.text)
                for mine, other in zip(members, following, strict=True)
            ]
    return Corpus(*halves)


def read(path: Path, limit: int) -> list[Document]:
    """The first `limit` documents of a file, by hash."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    documents = [Document(path.name.split(".")[0], row["title"], row["source_text"], row["summary"]) for row in rows]
    return sorted(documents, key=lambda each: content_hash(each.id))[:limit]


def perturbed(cases: Sequence[Case], kind: str) -> list[str | None]:
    """One wrong summary of each case; None where the perturbation does not apply."""
    return [PERTURBATIONS[kind](case, random.Random(f"{SEED} {kind} {case.summary}")) for case in cases]


def calibrate(
    corpora: Mapping[str, Corpus], encode: support.Encode
) -> tuple[float, dict[str, dict[str, dict[str, float]]]]:
    """The threshold that best parts a source's own summary sentences from another document's, and what it does.

    It maximises the mean over corpora of (own kept + foreign refused) / 2 on the choosing half, on a grid of 0.01.
    """
    cosines = {
        name: {half: _own_and_foreign(getattr(each, half), encode) for half in ("choosing", "measuring")}
        for name, each in corpora.items()
    }
    grid = [step / 100 for step in range(101)]
    quality = [np.mean([_balance(*each["choosing"], threshold) for each in cosines.values()]) for threshold in grid]
    best = grid[int(np.argmax(quality))]
    found = {
        name: {
            half: {
                "own_supported": round(float((own >= best).mean()), 4),
                "foreign_supported": round(float((foreign >= best).mean()), 4),
                "own_sentences": own.size,
                "foreign_sentences": foreign.size,
            }
            for half, (own, foreign) in halves.items()
        }
        for name, halves in cosines.items()
    }
    return best, found


def _own_and_foreign(cases: Sequence[Case], encode: support.Encode) -> tuple[np.ndarray, np.ndarray]:
    own = [(case.summary, case.source) for case in cases]
    foreign = [(case.other_summary, case.source) for case in cases]
    found = support.nearest(own + foreign, encode)
    return np.concatenate(found[: len(own)]), np.concatenate(found[len(own) :])


def _balance(own: np.ndarray, foreign: np.ndarray, threshold: float) -> float:
    return float(((own >= threshold).mean() + (foreign < threshold).mean()) / 2)


def score(texts: Sequence[Texts], encode: support.Encode, threshold: float) -> Scores:
    """Every metric of every summary; prints what each took."""
    scored: Scores = [{} for _ in texts]
    timed = {
        "numbers": lambda: numbers.score(texts),
        "entities": lambda: entities.score(texts),
        "support": lambda: support.score(texts, encode, threshold),
    }
    for name, run in timed.items():
        start = time.process_time()
        for row, values in zip(scored, run(), strict=True):
            row |= values
        click.echo(f"{name}: {len(texts)} summaries, {time.process_time() - start:.1f} CPU seconds", err=True)
    return scored


def measure(name: str, cases: Sequence[Case], encode: support.Encode, threshold: float) -> dict[str, Any]:
    """AUC and paired share by perturbation and metric, and the means of the references themselves."""
    wrong = {kind: perturbed(cases, kind) for kind in PERTURBATIONS}
    texts = [Texts(case.summary, case.summary, case.source) for case in cases]
    places = {
        (kind, row): len(texts) + count
        for count, (kind, row) in enumerate(
            (kind, row) for kind, made in wrong.items() for row, text in enumerate(made) if text is not None
        )
    }
    texts += [Texts(wrong[kind][row] or "", cases[row].summary, cases[row].source) for kind, row in places]
    scored = score(texts, encode, threshold)
    found: dict[str, Any] = {"references": {}, "perturbations": {}}
    for metric in METRICS:
        values = np.array([each[metric] for each in scored[: len(cases)]])
        finite = values[np.isfinite(values)]
        mean = round(float(finite.mean()), 4) if finite.size else None
        found["references"][metric] = {"mean": mean, "n": finite.size}
    for kind in PERTURBATIONS:
        rows = [row for row in range(len(cases)) if (kind, row) in places]
        pairs = {
            metric: [(scored[row][metric], scored[places[kind, row]][metric]) for row in rows] for metric in METRICS
        }
        found["perturbations"][kind] = {metric: told(pairs[metric], name, kind, metric) for metric in METRICS}
    return found


def told(pairs: Sequence[tuple[float, float]], *name: str) -> dict[str, Any]:
    """How well a metric tells the first of each pair from the second."""
    kept = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2)
    n = len(kept)
    if n < SEVERAL:
        return {"n": n, "auc": None, "paired": None}
    first, second = kept[:, :1], kept[:, 1:].T
    wins = (first > second) + 0.5 * (first == second)
    draw = statistics.generator(SEED, "faithfulness", *name)
    weights = draw.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    auc, paired = ((weights @ wins) * weights).sum(axis=1), weights @ np.diag(wins)
    return {"n": n, "auc": _interval(float(wins.mean()), auc), "paired": _interval(float(np.diag(wins).mean()), paired)}


def _interval(value: float, drawn: np.ndarray) -> dict[str, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def markdown(found: Mapping[str, Any]) -> str:
    """The tables of docs/FAITHFULNESS.md."""
    lines = []
    for name, each in found["corpora"].items():
        lines += [f"**{name}**", "", f"| error | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 1) + "|"]
        for kind, row in each["perturbations"].items():
            lines.append(f"| {kind} | {' | '.join(_cell(row[metric]) for metric in METRICS)} |")
        means = (f"{row['mean']:.3f} (n {row['n']})" if row["n"] else "-" for row in each["references"].values())
        lines += [f"| mean of the references | {' | '.join(means)} |", ""]
    lines += ["| corpus | half | own sentences supported | another document's |", "|---|---|---|---|"]
    for name, halves in found["threshold"]["sentences"].items():
        for half, row in halves.items():
            own = f"{row['own_supported']:.3f} of {row['own_sentences']}"
            lines.append(f"| {name} | {half} | {own} | {row['foreign_supported']:.3f} of {row['foreign_sentences']} |")
    return "\n".join([*lines, "", f"Threshold of `supported`: {found['threshold']['value']:.2f}"])


def _cell(row: Mapping[str, Any]) -> str:
    if row["auc"] is None:
        return f"- (n {row['n']})"
    auc = row["auc"]
    return f"{auc['value']:.2f} [{auc['low']:.2f}, {auc['high']:.2f}], {row['paired']['value']:.2f}, n {row['n']}"


@click.command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--documents", default="data/documents.jsonl", type=click.Path(path_type=Path), show_default=True)
@click.option("--encoder", "record", default="models/encoder.json", type=click.Path(path_type=Path), show_default=True)
@click.option("--limit", default=100, show_default=True, help="Documents taken from each file.")
@click.option("--out", default="metrics/faithfulness.json", type=click.Path(path_type=Path), show_default=True)
def main(files: tuple[Path, ...], documents: Path, record: Path, limit: int, out: Path) -> None:
    loaded = encoder.load(resolve.folder(record))
    known: dict[str, np.ndarray] = {}

    def encode(texts: Sequence[str]) -> np.ndarray:
        """Sources come twice, for the threshold and for the AUC; a sentence is encoded once."""
        if new := [text for text in texts if text not in known]:
            known.update(zip(new, loaded.encode(new).numpy(), strict=True))
        return np.stack([known[text] for text in texts])

    sample = [each for each in artifacts.read_records(documents, Document) if each.summary]
    corpora = {"sample": corpus(sample)} | {file.name.split(".")[0]: corpus(read(file, limit)) for file in files}
    threshold, sentences = calibrate(corpora, encode)
    found = {
        "corpora": {name: measure(name, each.measuring, encode, threshold) for name, each in corpora.items()},
        "threshold": {"value": threshold, "encoder": resolve.identity(record), "sentences": sentences},
        "settings": {
            "seed": SEED,
            "resamples": RESAMPLES,
            "level": LEVEL,
            "limit": limit,
            "entities": entities.SETTINGS,
        },
    }
    artifacts.write_json(out, found)
    click.echo(markdown(found))


if __name__ == "__main__":
    main()
