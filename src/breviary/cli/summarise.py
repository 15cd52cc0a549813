"""`breviary summarise FILE`: the summary of one document on standard output."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model",
    help="base, a phase, student, or models:/NAME@ALIAS; if left out the registered champion, else the newest phase.",
)
def summarise(file: Path, model: str | None) -> None:
    """Summarise FILE (Markdown, text, HTML, PDF, WebVTT or SubRip) with a model of this project.

    What does not fit the prompt is left out, and said so on standard error.
    """
    from breviary.serve import choice
    from breviary.summarise import backbone, summariser

    text = _text(file)
    chosen = choice.choose(model)
    if chosen.note:
        click.echo(chosen.note, err=True)
    prompter = backbone.prompter(chosen.params, chosen.base)
    prompt = prompter.prompt(text)
    if prompt.truncated:
        share = prompter.room / prompter.tokenizer.count(text)
        click.echo(f"{file}: only the first {share:.0%} fits the prompt and is summarised", err=True)
    write = summariser.generator(chosen.params, chosen.adapter, prompter.tokenizer, chosen.base)
    answer = write([prompt])[0]
    click.echo(answer.text)


def _text(file: Path) -> str:
    """The words of `file`. Raises DataError where it has none, or none that can be read."""
    from breviary.data import reading
    from breviary.data.cleaning import clean
    from breviary.errors import DataError

    if reading.format_of(file) not in reading.known():
        raise DataError(f"{file}: its name ends in none of .{', .'.join(reading.known())}; rename or convert it")
    try:
        text = clean(reading.parse(file).text)[0].strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8: {error.reason} at byte {error.start}; convert it, for example with `iconv`"
        ) from None
    if not text:
        raise DataError(f"{file}: no words in it; name a file with text to summarise")
    return text
