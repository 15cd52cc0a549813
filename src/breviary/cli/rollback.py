"""`breviary rollback NAME --reason TEXT`: back to the version that was champion before."""

import click


@click.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the model's history.")
def rollback(name: str, reason: str) -> None:
    """Make the version that was champion of NAME before the present one champion again. Twice goes further back."""
    from breviary.registry import history, versions

    left, back = history.rollback(versions.opened(), name, reason)
    click.echo(f"{back} is the champion again; {left} is not, and the gate leaves it so")
