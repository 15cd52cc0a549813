"""`breviary summarise FILE ...`: summaries on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

STDIN = "-"
MODES = ("map_reduce", "extract", "refine", "truncate")
LONG = 120  # seconds; what may take longer is told as soon as it is known


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--model", help="base, a phase, student, or models:/NAME@ALIAS; else the champion, else the newest phase."
)
@click.option("--profile", help="quality, fast or greedy (section budget); the section's own if left out.")
@click.option(
    "--max-tokens", type=click.IntRange(1), help="Of the summary, which ends in a whole sentence within them."
)
@click.option("--max-ms", type=click.IntRange(1), help="Milliseconds for each summary, once the model is loaded.")
@click.option("--mode", type=click.Choice(MODES), default=MODES[0], show_default=True, help="For long documents.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each file: summary, sources, times, model.")
def summarise(
    files: tuple[str, ...],
    model: str | None,
    profile: str | None,
    max_tokens: int | None,
    max_ms: int | None,
    mode: str,
    as_json: bool,
) -> None:
    """Summarise each FILE (Markdown, text, HTML, PDF, WebVTT, SubRip; - is standard input).

    A document of any length is read part by part, and its parts' summaries are summarised. A file that cannot be read
    is told, the others go on, and the exit status is 2.
    """
    from breviary.serve import choice
    from breviary.summarise import asked, budget

    texts = list(_texts(files))
    if not texts:
        sys.exit(2)
    chosen = choice.choose(model)
    if chosen.note:
        click.echo(chosen.note, err=True)
    best = profile or chosen.params.section("budget", budget.Options).profile
    answerer: Any = asked.answerer(chosen.params, chosen.adapter, chosen.base, best)
    request: Any = asked.Request(mode, profile, max_tokens)  # pyright: ignore[reportArgumentType]
    about = {"model": chosen.name, "model_hash": choice.content(chosen)} if as_json else {}
    failed = len(texts) < len(files)
    for name, text in texts:
        answer = _answer(answerer, text, request, max_ms, name)
        failed = failed or answer is None
        if answer:
            _tell(name, answer, about, one_of_many=len(files) > 1)
    sys.exit(2 if failed else 0)


def _texts(files: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The words of each file that has some; what cannot be read is told."""
    from breviary.errors import DataError
    from breviary.serve import documents

    for name in files:
        try:
            if name == STDIN:
                yield name, documents.of_stream(sys.stdin.buffer.read(), "standard input")
            elif Path(name).is_file():
                yield name, documents.of_file(Path(name))
            else:
                raise DataError(f"{name}: there is no such file")
        except DataError as error:
            click.echo(f"breviary: {error}", err=True)


def _answer(answerer: Any, text: str, request: Any, max_ms: int | None, name: str) -> Any:
    """The answer, with a bar of the passages on a terminal; None, and a message, where there is none."""
    from tqdm import tqdm

    from breviary.errors import BreviaryError
    from breviary.summarise.asked import Progress, Telling

    inside = answerer.limit(max_ms)
    telling = Telling(answerer.answer(text, request, inside))
    warned = max_ms is not None
    try:
        with tqdm(desc=name[-30:], unit="passages", disable=None, leave=False) as bar:
            for said in telling:
                if isinstance(said, Progress):
                    bar.total = said.of
                    bar.update(said.done - bar.n)
                    warned = warned or _warned(said.done, said.of, inside.spent_ms / 1000, name)
    except BreviaryError as error:
        click.echo(f"breviary: {name}: {error}", err=True)
        return None
    return telling.answer


def _warned(done: int, of: int, seconds: float, name: str) -> bool:
    """Say that it will take long, if it will, at the pace of what is `done` of about `of` passages."""
    left = (of - done) * seconds / done if done else 0.0
    if left < LONG:
        return False
    click.echo(
        f"{name}: {of - done} more passages, or fewer, will take {left / 60:.0f} minutes at this pace; the mode "
        "'extract' reads the central ones alone, --max-ms sets a limit",
        err=True,
    )
    return True


def _tell(name: str, answer: Any, about: dict[str, str], *, one_of_many: bool) -> None:
    """Print the answer, and what must be said of it."""
    if answer.truncated:
        click.echo(f"{name}: a part of it was not read (mode {answer.mode})", err=True)
    if answer.cut:
        click.echo(f"{name}: the summary does not end in a whole sentence; allow more tokens or time", err=True)
    if about:
        click.echo(json.dumps({"file": name, **about, **asdict(answer)}, ensure_ascii=False))
    else:
        click.echo(f"{name}\n{answer.text}\n" if one_of_many else answer.text)
