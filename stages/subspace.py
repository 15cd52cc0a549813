"""Find the directions in which the backbone, or the adapter of a phase, does most of what it does."""

import click

from breviary import stage
from breviary.learn import decompose


@click.command()
@click.argument("model", type=click.Choice(["base", "phase1", "phase2"]))
def main(model: str) -> None:
    """Write models/subspace/MODEL.safetensors and metrics/subspace_MODEL.json."""
    with stage.running(f"subspace@{model}", sections=decompose.SECTIONS, reads=decompose.reads(model)) as run:
        decompose.run(run, model)


if __name__ == "__main__":
    main()
