"""Phase 1, measured: how much each weight of its adapter matters to what it learned."""

import click

from breviary import stage
from breviary.learn import phase_fisher, start
from breviary.model import devices


@click.command()
def main() -> None:
    """Write models/phase1_anchor from the adapter of phase 1 and its own examples."""
    sections, reads = (*start.SECTIONS, "fisher_phase1"), phase_fisher.reads("phase1", None)
    with stage.running("fisher_phase1", sections=sections, reads=reads) as run, devices.taken(run.name):
        phase_fisher.run(run, "phase1", previous=None)


if __name__ == "__main__":
    main()
