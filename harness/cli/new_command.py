"""``harness new``: files to begin from."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import FOLDER, installer, program


@click.group("new")
def new_command() -> None:
    """Write files to begin from."""


@new_command.command("method")
@click.argument("name")
@click.option(
    "--package", is_flag=True, help="A package of its own, in the folder DIR/NAME, and no file of a checkout."
)
@click.option(
    "--dir", "directory", type=FOLDER, default=".", metavar="DIR", help="A checkout, or where to put the package.  [.]"
)
def method_command(name: str, package: bool, directory: Path) -> None:
    """Write a method that works, commented at each decision, and its test: DARTS at a falling temperature.

    In a checkout of this repository they are methods/NAME.py and tests/test_methods_NAME.py. Nothing is overwritten.
    """
    from harness.scaffold.files import checkout_files, package_files, write

    files = package_files(name, directory) if package else checkout_files(name, directory)
    write(files)
    for file in files:
        click.echo(file)
    if package:
        click.echo(f"install it: {installer()} install -e '{directory / name}[test]'")
    click.echo(f"hold it to the contract: {program()} check {name}")
    click.echo(f"search with it: {program()} run --method {name} --method darts --seeds 5")
