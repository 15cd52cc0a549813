"""Draw each phase's training examples, in exact shares, and the validation set."""

from pathlib import Path

import click

from breviary import artifacts, stage
from breviary.data import mixtures
from breviary.records import Document, Pair

DOCUMENTS, SPLITS, PAIRS = Path("data/documents.jsonl"), Path("data/splits.json"), Path("data/pairs.jsonl")
OUT = Path("data/mixtures")


@click.command()
def main() -> None:
    """Write data/mixtures/ (a file a phase, valid.jsonl, pairs.jsonl, the reservoirs) and metrics/mix.json."""
    with stage.running("mix", sections=("runtime", "mix"), reads=(DOCUMENTS, SPLITS, PAIRS)) as run:
        built = mixtures.build(
            artifacts.read_records(DOCUMENTS, Document),
            artifacts.read_json(SPLITS),
            artifacts.read_records(PAIRS, Pair),
            run.params.section("mix", mixtures.Options),
            run.runtime.seed,
        )
        for name, examples in built.phases.items():
            artifacts.write_records(OUT / f"{name}.jsonl", examples)
        artifacts.write_records(OUT / "valid.jsonl", built.valid)
        artifacts.write_records(OUT / "pairs.jsonl", built.pairs)
        for name, kept in built.reservoirs.items():
            artifacts.write_json(OUT / f"reservoir_{name}.json", kept)
        artifacts.write_json(Path("metrics/mix.json"), {"lineage": built.lineage, "valid": len(built.valid)})
        run.run.metrics({f"{row['phase']}.{row['source']}": row["count"] for row in built.lineage})
        run.run.table("lineage", built.lineage)
        print(mixtures.table(built.lineage))


if __name__ == "__main__":
    main()
