"""`breviary report`: make the page of the last run again, with what this machine knows of its times and commit."""

import click


@click.command()
@click.option("--open", "show", is_flag=True, help="Show the page in the browser.")
def report(show: bool) -> None:
    """Write reports/index.html from reports/report.json (which `dvc repro` writes and `dvc pull` fetches)."""
    from breviary.report import page

    made = page.write()
    click.echo(str(made))
    if show:
        click.launch(made.resolve().as_uri())
