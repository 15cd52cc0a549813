"""Phase 2: bring in the second kind, starting from phase 1."""

import click

from breviary import stage
from breviary.learn import phase, start
from breviary.model import devices


@click.command()
def main() -> None:
    """Train models/phase2 on data/mixtures/phase2.jsonl."""
    sections, reads = (*start.SECTIONS, "train_phase2"), phase.reads("phase2", "phase1")
    with stage.running("train_phase2", sections=sections, reads=reads) as run, devices.taken(run.name):
        phase.run(run, "phase2", previous="phase1")


if __name__ == "__main__":
    main()
