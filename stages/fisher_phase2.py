"""Phase 2, measured: how much each weight of its adapter matters to what was learned until then."""

import click

from breviary import stage
from breviary.learn import phase_fisher, start


@click.command()
def main() -> None:
    """Write models/phase2_anchor from the adapter of phase 2, its own examples and the anchor of phase 1."""
    with stage.running(
        "fisher_phase2", sections=(*start.SECTIONS, "fisher_phase2"), reads=phase_fisher.reads("phase2", "phase1")
    ) as run:
        phase_fisher.run(run, "phase2", previous="phase1")


if __name__ == "__main__":
    main()
