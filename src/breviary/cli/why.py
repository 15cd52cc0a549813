"""`breviary why STAGE`: which dependency, parameter or output makes DVC run a stage again."""

import json
from collections.abc import Iterator

import click

from breviary.lineage.causes import Answer


@click.command()
@click.argument("stage")
@click.option("--json", "as_json", is_flag=True, help="The causes as JSON.")
def why(stage: str, as_json: bool) -> None:
    """Say what makes DVC run STAGE again: params with old and new values, code, data, outputs.

    STAGE may name one stage (predict@base) or a group of them (predict).
    """
    from breviary.lineage import causes, lock
    from breviary.lineage.history import Repository
    from breviary.tracking import spool

    repository = Repository(spool.root())
    names = causes.members(stage, causes.stages(repository))
    changed, here = causes.status(repository), lock.workspace(repository)
    answers = [causes.answer(repository, here, changed, name) for name in names]
    if as_json:
        click.echo(json.dumps([answer.plain() for answer in answers], indent=1, sort_keys=True))
        return
    for answer in answers:
        for line in _lines(answer):
            click.echo(line)


def _lines(answer: Answer) -> Iterator[str]:
    """What a person reads."""
    if answer.causes:
        yield f"{answer.stage} runs because of:"
        width = max(len(cause.kind) for cause in answer.causes)
        for cause in answer.causes:
            yield f"  {cause.kind:<{width}}  {cause.name}: {cause.what}"
    elif answer.first:
        yield f"{answer.stage}: nothing of its own; it runs if what is made before it turns out different"
    else:
        yield f"{answer.stage}: nothing: up to date"
    if answer.first:
        yield f"  before it: {', '.join(answer.first)}"
