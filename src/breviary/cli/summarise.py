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
    from breviary.errors import BreviaryError
    from breviary.serve import choice
    from breviary.summarise import asked

    texts = list(_texts(files))
    failed = any(text is None for _, text in texts)
    if all(text is None for _, text in texts):
        sys.exit(2)
    chosen = choice.choose(model)
    if chosen.note:
        click.echo(chosen.note, err=True)
    answerer: Any = asked.answerer(chosen.params, chosen.adapter, chosen.base)
    request: Any = asked.Request(mode, profile, max_tokens)  # pyright: ignore[reportArgumentType]
    for name, text in texts:
        if text is None:
            continue
        try:
            answer = _answer(answerer, text, request, max_ms, name)
        except BreviaryError as error:
            click.echo(f"breviary: {name}: {error}", err=True)
            failed = True
            continue
        if as_json:
            said = {"file": name, "model": chosen.name, "model_hash": choice.content(chosen), **asdict(answer)}
            click.echo(json.dumps(said, ensure_ascii=False))
        else:
            click.echo(f"{name}\n{answer.text}\n" if len(texts) > 1 else answer.text)
    sys.exit(2 if failed else 0)


def _texts(files: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Each file and its words; None where it cannot be read, which is told at once."""
    from breviary.errors import DataError
    from breviary.serve import documents

    for name in files:
        try:
            if name == STDIN:
                yield name, documents.of_text(sys.stdin.read(), "standard input")
            elif Path(name).is_file():
                yield name, documents.of_file(Path(name))
            else:
                raise DataError(f"{name}: there is no such file")
        except (DataError, UnicodeDecodeError) as error:
            click.echo(f"breviary: {error}", err=True)
            yield name, None


def _answer(answerer: Any, text: str, request: Any, max_ms: int | None, name: str) -> Any:
    """The answer, with a bar of the passages on a terminal."""
    from tqdm import tqdm

    from breviary.model import limit
    from breviary.summarise.asked import Progress

    telling = answerer.answer(text, request, limit.start(max_ms or answerer.writer.options.max_ms))
    with tqdm(desc=name[-30:], unit="passages", disable=None, leave=False) as bar:
        while True:
            try:
                said = next(telling)
            except StopIteration as done:
                answer = done.value
                break
            if isinstance(said, Progress):
                bar.total = said.of
                bar.update(said.done - bar.n)
    if answer.truncated:
        click.echo(f"{name}: a part of it was not read (mode {answer.mode})", err=True)
    return answer
