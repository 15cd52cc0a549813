"""`breviary sync`: give MLflow the runs that it could not take when they happened."""

import sys
from collections.abc import Iterator

import click


@click.command()
@click.option("--to", metavar="URI", help="Another store than the one that the runs were meant for.")
def sync(to: str | None) -> None:
    """Upload runs that MLflow does not have yet, because its server was away, and complete their parent runs.

    Can be repeated.
    """
    from breviary.tracking import uploader

    count, failed = 0, 0
    for name, problem in uploader.sync(to):
        count += 1
        failed += bool(problem)
        click.echo(f"{name}: {problem or 'uploaded'}")
    if not count:
        click.echo("nothing to upload")
    for problem in _gathered(to):
        failed += 1
        click.echo(problem, err=True)
    sys.exit(1 if failed else 0)


def _gathered(to: str | None) -> Iterator[str]:
    """Complete the parent runs of the workspace and of every experiment; yields what was wrong."""
    from breviary.lineage import executions, recorded, targets
    from breviary.tracking import pipeline, spool, uploader

    try:
        connection = recorded.opened(to)
        if connection is None:
            return
        pipeline.settle(connection)
        keys, evaluation = uploader.results(spool.root())
        if keys:
            pipeline.gather(connection, keys, evaluation)
        project = targets.project(spool.root())
        for experiment, found in executions.of_experiments(project.repository):
            pipeline.gather(connection, found.keys, executions.evaluation(project, experiment.commit), found.execution)
    except Exception as error:  # a server that dies now has its runs; the parents wait for the next time
        yield f"parent runs are not complete: {str(error).splitlines()[0]}; do this again"
