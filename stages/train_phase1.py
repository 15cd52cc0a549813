"""Phase 1: learn the first kind of text, from the backbone alone."""

import click

from breviary import stage
from breviary.learn import phase, start


@click.command()
def main() -> None:
    """Train models/phase1 on data/mixtures/phase1.jsonl."""
    with stage.running(
        "train_phase1", sections=(*start.SECTIONS, "train_phase1"), reads=phase.reads("phase1", None)
    ) as run:
        phase.run(run, "phase1", previous=None)


if __name__ == "__main__":
    main()
