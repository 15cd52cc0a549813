"""Phase 1, measured: how much each weight of its adapter matters to what it learned."""

import click

from breviary import stage
from breviary.learn import phase_fisher, start


@click.command()
def main() -> None:
    """Write models/phase1_anchor from the adapter of phase 1 and its own examples."""
    with stage.running(
        "fisher_phase1", sections=(*start.SECTIONS, "fisher_phase1"), reads=phase_fisher.reads("phase1", None)
    ) as run:
        phase_fisher.run(run, "phase1", previous=None)


if __name__ == "__main__":
    main()
