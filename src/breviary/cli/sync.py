"""`breviary sync`: give MLflow the runs that it could not take when they happened."""

import sys

import click


@click.command()
@click.option("--to", metavar="URI", help="Another store than the one that the runs were meant for.")
def sync(to: str | None) -> None:
    """Upload runs that MLflow does not have yet, because its server was away. Can be repeated."""
    from breviary.tracking import uploader

    count, failed = 0, 0
    for name, problem in uploader.sync(to):
        count += 1
        failed += bool(problem)
        click.echo(f"{name}: {problem or 'uploaded'}")
    if not count:
        click.echo("nothing to upload")
    sys.exit(1 if failed else 0)
