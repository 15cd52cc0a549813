"""Phase 2, measured: how much each weight of its adapter matters to what was learned until then."""

import click

from breviary import stage
from breviary.learn import phase_fisher, start
from breviary.model import devices


@click.command()
def main() -> None:
    """Write models/phase2_anchor from the adapter of phase 2, its own examples and the anchor of phase 1."""
    sections, reads = (*start.SECTIONS, "fisher_phase2"), phase_fisher.reads("phase2", "phase1")
    with stage.running("fisher_phase2", sections=sections, reads=reads) as run, devices.taken(run.name):
        phase_fisher.run(run, "phase2", previous="phase1")


if __name__ == "__main__":
    main()
