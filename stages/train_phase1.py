"""Phase 1: learn the first kind of text, from the backbone alone."""

import click

from breviary import stage
from breviary.learn import phase, start
from breviary.model import devices


@click.command()
def main() -> None:
    """Train models/phase1 on data/mixtures/phase1.jsonl."""
    sections, reads = (*start.SECTIONS, "train_phase1"), phase.reads("phase1", None)
    with stage.running("train_phase1", sections=sections, reads=reads) as run, devices.taken(run.name):
        phase.run(run, "phase1", previous=None)


if __name__ == "__main__":
    main()
