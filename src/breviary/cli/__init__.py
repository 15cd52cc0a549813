"""The command `breviary`: one file a command, each of which imports what is heavy only when it is called."""

import os
import sys

import click

from breviary.cli import doctor, mend, profile, promote, report, rollback, runs, serve, summarise, sync, verify, why
from breviary.errors import BreviaryError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="breviary")
def commands() -> None:
    """Teach one language model to summarise several kinds of text. The pipeline itself runs with `dvc repro`."""


COMMANDS = (
    summarise.summarise,
    serve.serve,
    doctor.doctor,
    profile.profile,
    report.report,
    runs.runs,
    why.why,
    verify.verify,
    promote.promote,
    rollback.rollback,
    sync.sync,
    mend.mend,
)
for command in COMMANDS:
    commands.add_command(command)


def main() -> None:
    """Run a command; an expected error is a message and exit status 2."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in dvc.yaml, before anything loads torch
    try:
        commands()
    except BreviaryError as error:
        print(f"breviary: {error}", file=sys.stderr)
        sys.exit(2)
