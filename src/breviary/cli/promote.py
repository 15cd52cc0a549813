"""`breviary promote NAME VERSION --reason TEXT`: make a registered version the champion by hand."""

import click


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the model's history.")
def promote(name: str, version: str, reason: str) -> None:
    """Make VERSION of the registered model NAME its champion, whatever the gate said."""
    from breviary.registry import history, versions

    connection = versions.opened()
    chosen = versions.get(connection, name, version)
    if history.promote(connection, chosen, reason, "hand"):
        click.echo(f"{chosen} is the champion now; the gate had said: {chosen.tags.get('gate', 'nothing')}")
    else:
        click.echo(f"{chosen} is the champion already")
