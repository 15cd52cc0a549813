"""What an encoder makes of two sentences that have nothing to do with each other: the zero of rescaled BERTScore.

    python -m bench.bertscore_baseline FILE.jsonl.gz ... [--encoder models/encoder.json] [--pairs 3000] [--seed 17]

Each line of a file holds a `source_text`, the `group` of documents that it belongs to, and the repository (`source`)
and `commit` that it is from. As the authors of BERTScore do for their encoders, random sentences are paired, here of
different groups (and of 8 to 60 words, so that "Yes, okay." is no evidence), and P, R and F1 are averaged, at every
layer. Every file gives the same number of pairs. The result is written beside the metric, under the hash of the
weights, which is how the metric finds it.
"""

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import click

from breviary import artifacts
from breviary.evaluate.metrics import bertscore as metric
from breviary.evaluate.words import sentences, words
from breviary.model import bertscore, compute, resolve

WORDS = range(8, 61)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--encoder", default="models/encoder.json", type=click.Path(exists=True, path_type=Path))
@click.option("--pairs", default=3000, show_default=True, type=click.IntRange(min=100))
@click.option("--seed", default=17, show_default=True)
def main(files: tuple[Path, ...], encoder: Path, pairs: int, seed: int) -> None:
    """Measure and write the baseline of one encoder."""
    compute.quiet()
    folder = resolve.folder(encoder)
    draw = random.Random(seed)
    texts = {file.name.partition(".")[0]: _documents(file) for file in files}
    drawn = [pair for documents in texts.values() for pair in _pairs(documents, pairs // len(files), draw)]
    layers = range(bertscore.layers(folder) + 1)
    means = bertscore.load(folder, layers).scores(drawn).double().mean(dim=1)
    measured = {
        "layers": {
            str(layer): dict(zip("PRF", _rounded(row.tolist()), strict=True)) for layer, row in enumerate(means)
        },
        "pairs": len(drawn),
        "seed": seed,
        "sentences": f"{WORDS.start} to {WORDS.stop - 1} words, the two of a pair from different groups of documents",
        "texts": {name: sorted({f"{each['source']}@{each['commit']}" for each in of}) for name, of in texts.items()},
        "weights": resolve.identity(encoder),
        "model": artifacts.read_json(encoder)["options"],
        "command": f"python -m bench.bertscore_baseline ... --pairs {pairs} --seed {seed}",
    }
    place = metric.BASELINES / f"{resolve.identity(encoder)}.json"
    artifacts.write_json(place, measured)
    print(json.dumps(measured["layers"], indent=1), f"\n{len(drawn)} pairs; written to {place.name}")


def _documents(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _pairs(documents: Sequence[dict[str, str]], count: int, draw: random.Random) -> list[tuple[str, str]]:
    """Random sentences of random documents, two and two of different groups."""
    found: dict[int, list[str]] = {}
    pairs = []
    while len(pairs) < count:
        one, other = draw.sample(range(len(documents)), 2)
        for place in (one, other):
            if place not in found:
                cut = sentences(documents[place]["source_text"])
                found[place] = [sentence for sentence in cut if len(words(sentence)) in WORDS]
        if documents[one]["group"] != documents[other]["group"] and found[one] and found[other]:
            pairs.append((draw.choice(found[one]), draw.choice(found[other])))
    return pairs


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 6) for value in values]


if __name__ == "__main__":
    main()
