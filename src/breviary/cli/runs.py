"""`breviary runs`: the MLflow run behind each stage of each commit and experiment."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import click

HEADINGS = ("stage", "run", "how", "status", "wall s", "peak MiB")


@click.command()
@click.option("--all", "everything", is_flag=True, help="Every experiment and commit, not the last few.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def runs(everything: bool, as_json: bool) -> None:
    """Show which MLflow run stands behind each stage, cached ones too.

    For the workspace, the experiments of DVC and the last commits with results, from the receipts in runs/.
    """
    from breviary.lineage import executions, recorded
    from breviary.lineage.history import Repository
    from breviary.tracking import spool, store

    connection = recorded.opened()
    latest = cache(lambda key: recorded.latest(connection, key) if connection else None)
    told = [
        {"results": found.label, "pipeline": found.execution.tag, "stages": executions.rows(found, latest)}
        for found in executions.results(Repository(spool.root()), everything)
    ]
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    for line in _lines(told):
        click.echo(line)
    if not told:
        click.echo("no results yet: `dvc repro` makes some")
    elif any(row["run"] is None for each in told for row in each["stages"]):
        click.echo(f"\nunknown: no such run in {store.uri()}; `breviary sync` uploads what waits")


def _lines(told: list[dict[str, Any]]) -> Iterator[str]:
    table = [_cells(row) for each in told for row in each["stages"]]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *table, strict=True)]
    for index, each in enumerate(told):
        yield ("\n" if index else "") + each["results"]
        yield _aligned(HEADINGS, widths)
        for row in each["stages"]:
            yield _aligned(_cells(row), widths)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (f"{row[name]:.0f}" if row[name] is not None else "-" for name in ("wall_seconds", "peak_mib"))
    return (row["stage"], row["run"] or "-", row["how"], row["status"] or "-", *numbers)


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(cells[:4], widths[:4], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
    return "  " + "  ".join([*words, *numbers]).rstrip()
