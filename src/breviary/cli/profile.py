"""`breviary profile`: named settings, to look at, to write into params.yaml, or to give to one experiment."""

import click

from breviary.cli import overlays


@click.group()
def profile() -> None:
    """Named settings that differ from params.yaml (profiles/*.yaml)."""


@profile.command("list")
def list_() -> None:
    """The profiles, and what each is for."""
    names = overlays.names()
    for name in names:
        click.echo(f"{name:<{max(map(len, names))}}  {overlays.purpose(name)}")


@profile.command()
@click.argument("name")
def show(name: str) -> None:
    """The profile, and what it would change in params.yaml."""
    click.echo(overlays.text(name).rstrip())
    click.echo("\n# changes in params.yaml as it stands:")
    for change in overlays.changes(name):
        click.echo(f"#   {change.key}: {change.old if change.known else '(nothing)'} -> {change.new}")


@profile.command()
@click.argument("name")
def apply(name: str) -> None:
    """Write the profile into params.yaml, comments kept, and print the difference."""
    click.echo(overlays.apply(name) or f"params.yaml says already what profile '{name}' says")


@profile.command()
@click.argument("name")
def args(name: str) -> None:
    """The profile for one experiment: dvc exp run $(breviary profile args NAME)."""
    click.echo(" ".join(overlays.arguments(name)))
