"""Stage `download`: every source in, data/documents.jsonl out. Counts what was repaired or dropped, by reason."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from breviary import artifacts, config, stage
from breviary.data import documents

DOCUMENTS = Path("data/documents.jsonl")
METRICS = Path("metrics/download.json")
CACHE = Path(".breviary/sources")  # answers of other people's servers: kept between runs, no output of any stage


def _root(params: config.Params) -> list[Path]:
    return [Path(params.section("data", documents.Options).root)]


@click.command(help=__doc__)
def main() -> None:
    with stage.running("download", sections=("data",), named=_root) as running:
        options = running.params.section("data", documents.Options)
        found = documents.collect(options, cache=Path(os.environ.get("DVC_ROOT", ".")) / CACHE)
        artifacts.write_records(DOCUMENTS, found.documents)
        artifacts.write_json(METRICS, found.report)
        running.run.metrics(
            {
                "documents": len(found.documents),
                "dropped": len(found.dropped),
                "dropped_share": found.report["dropped_share"],
                "repaired": sum(found.report["repaired"].values()),
            }
        )
        if found.dropped:
            running.run.table("dropped", [asdict(each) for each in found.dropped])
        print(f"{len(found.documents)} documents, {len(found.dropped)} dropped")


if __name__ == "__main__":
    main()
