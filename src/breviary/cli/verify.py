"""`breviary verify MODEL`: every link from a model back to its data, code, params and base weights, re-hashed."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from breviary.lineage.chain import Link

UNICODE = {"holds": "✓", "missing": "✗", "wrong": "✗"}
ASCII = {"holds": "ok", "missing": "XX", "wrong": "XX"}
REGISTERED = "models:/"
DIGITS = 7  # of a digest that are shown


@click.command()
@click.argument("model")
@click.option("--all", "everything", is_flag=True, help="Go on after a link that does not hold.")
@click.option("--no-runs", is_flag=True, help="Do not ask MLflow: for a clone whose runs are elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="The links as JSON.")
def verify(model: str, everything: bool, no_runs: bool, as_json: bool) -> None:
    """Re-hash every link from MODEL back to data, code, params and base weights.

    MODEL is a registered one (models:/breviary@champion, models:/breviary/3), a folder such as models/phase3, or any
    other output of a stage. The exit status is 1 where a link is wrong or missing.
    """
    shown: list[Link] = []
    for link in _until_broken(_links(model, not no_runs), everything):
        shown.append(link)
        if not as_json:
            click.echo(line(link, UNICODE if _is_unicode() else ASCII))
    broken = [link for link in shown if link.verdict.state != "holds"]
    if as_json:
        told = {"model": model, "holds": not broken, "links": [link.plain() for link in shown]}
        click.echo(json.dumps(told, indent=1, sort_keys=True))
    elif broken:
        click.echo(f"\n{model}: {said(broken[0])}", err=True)
    else:
        click.echo(f"\n{model}: all {len(shown)} links hold")
    sys.exit(1 if broken else 0)


def line(link: Link, marks: dict[str, str]) -> str:
    """One line of the tree."""
    digest = f"  {link.digest[:DIGITS]}" if link.digest else ""
    state = "" if link.verdict.state == "holds" else f"{link.verdict.state.upper()}: "
    found = f"  ({state}{link.verdict.note})" if link.verdict.note else ""
    return f"{'  ' * link.depth}{marks[link.verdict.state]} {link.kind} {link.name}{digest}{found}"


def said(link: Link) -> str:
    """What to say of the first link that does not hold."""
    return f"{link.kind} {link.name} is {link.verdict.state}: {link.verdict.note}\n{link.verdict.remedy}"


def _links(model: str, ask_runs: bool) -> Iterator[Link]:
    from breviary.lineage import recorded, registered, targets
    from breviary.tracking import spool

    project = targets.project(spool.root())
    if model.startswith(REGISTERED):
        yield from registered.links(project, model, runs=ask_runs)
    else:
        run = recorded.asking(recorded.opened()) if ask_runs else None
        yield from targets.links(project, Path(model), run)


def _until_broken(links: Iterable[Link], everything: bool) -> Iterator[Link]:
    """The links up to the first that does not hold, or all."""
    for link in links:
        yield link
        if link.verdict.state != "holds" and not everything:
            return


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf8")
