"""Phase 2: bring in the second kind, starting from phase 1."""

import click

from breviary import stage
from breviary.learn import phase, start


@click.command()
def main() -> None:
    """Train models/phase2 on data/mixtures/phase2.jsonl."""
    with stage.running(
        "train_phase2", sections=(*start.SECTIONS, "train_phase2"), reads=phase.reads("phase2", "phase1")
    ) as run:
        phase.run(run, "phase2", previous="phase1")


if __name__ == "__main__":
    main()
