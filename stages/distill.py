"""Teach a smaller student what the teacher writes for passages of training documents."""

import click

from breviary import stage
from breviary.model import devices
from breviary.summarise import distill


@click.command()
def main() -> None:
    """Write models/student, metrics/distill.json and metrics/curves/distill.csv."""
    with stage.running("distill", sections=distill.SECTIONS, reads=distill.READS) as run, devices.taken(run.name):
        distill.run(run)


if __name__ == "__main__":
    main()
