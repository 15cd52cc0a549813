"""Find the directions in which the backbone, or the adapter of a phase, does most of what it does."""

import click

from breviary import stage
from breviary.learn import decompose
from breviary.model import devices


@click.command()
@click.argument("model", type=click.Choice(["base", "phase1", "phase2"]))
def main(model: str) -> None:
    """Write models/subspace/MODEL.safetensors and metrics/subspace_MODEL.json."""
    reads = decompose.reads(model)
    with stage.running(f"subspace@{model}", sections=decompose.SECTIONS, reads=reads) as run, devices.taken(run.name):
        decompose.run(run, model)


if __name__ == "__main__":
    main()
