"""Phase 3: shift to the second kind, starting from phase 2."""

import click

from breviary import stage
from breviary.learn import phase, start
from breviary.model import devices


@click.command()
def main() -> None:
    """Train models/phase3 on data/mixtures/phase3.jsonl."""
    sections, reads = (*start.SECTIONS, "train_phase3"), phase.reads("phase3", "phase2")
    with stage.running("train_phase3", sections=sections, reads=reads) as run, devices.taken(run.name):
        phase.run(run, "phase3", previous="phase2")


if __name__ == "__main__":
    main()
