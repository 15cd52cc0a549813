"""Gather what the run found into reports/report.json, and make the page reports/index.html from it."""

import click

from breviary import artifacts, stage
from breviary.report import contents, page


@click.command()
def main() -> None:
    """Write reports/report.json, which DVC keeps, and reports/index.html, which `breviary report` makes again."""
    with stage.running("report", sections=contents.SECTIONS, reads=contents.NEEDED, named=contents.named) as run:
        found = contents.contents(run.params)
        artifacts.write_json(page.REPORT, found)
        page.write()
        run.run.metrics({"samples": len(found["samples"]), "tables": len(found["tables"])})
        run.run.artifacts(page.PAGE)
    click.echo(f"{page.PAGE}: open it with `breviary report --open`")


if __name__ == "__main__":
    main()
