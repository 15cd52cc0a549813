"""`breviary summarise FILE`: the summary of one document on standard output."""

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", help="base, or the phase whose adapter is used; the newest phase that is trained if left out.")
def summarise(file: Path, model: str | None) -> None:
    """Summarise FILE (Markdown, text, HTML, PDF, WebVTT or SubRip) with a model of this project.

    What does not fit the prompt is left out, and said so on standard error.
    """
    from breviary import config
    from breviary.stage import PARAMS
    from breviary.summarise import backbone, summariser

    params = config.read(PARAMS)
    adapter = _adapter(model)
    text = _text(file)
    prompter = backbone.prompter(params)
    prompt = prompter.prompt(text)
    if prompt.truncated:
        share = prompter.room / prompter.tokenizer.count(text)
        click.echo(f"{file}: only the first {share:.0%} fits the prompt and is summarised", err=True)
    answer = summariser.generator(params, adapter, prompter.tokenizer)([prompt])[0]
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


def _adapter(model: str | None) -> Path | None:
    """The folder of the adapter that `model` names. Raises ConfigError naming the ones that are trained."""
    from breviary.errors import ConfigError

    trained = sorted(path.name for path in Path("models").glob("phase*") if (path / "adapter_config.json").is_file())
    if model == "base":
        return None
    if model is None and trained:
        return Path("models", trained[-1])
    if model not in trained:
        known = ", ".join(["base", *trained])
        raise ConfigError(f"no trained model '{model or 'phase3'}' (there is: {known}); run `dvc repro`, or `dvc pull`")
    return Path("models", model)
