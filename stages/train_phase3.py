"""Phase 3: shift to the second kind, starting from phase 2."""

import click

from breviary import stage
from breviary.learn import phase, start


@click.command()
def main() -> None:
    """Train models/phase3 on data/mixtures/phase3.jsonl."""
    with stage.running(
        "train_phase3", sections=(*start.SECTIONS, "train_phase3"), reads=phase.reads("phase3", "phase2")
    ) as run:
        phase.run(run, "phase3", previous="phase2")


if __name__ == "__main__":
    main()
