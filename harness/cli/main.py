"""``harness``: the entry point. Verbs are imported when called, so that ``--help`` needs neither torch nor MLflow."""

from __future__ import annotations

import importlib
import logging
import sys

import click

from harness._version import __version__
from harness.errors import HarnessError

VERBS = {
    "run": "search with one or several methods and seeds",
    "retry": "begin the failed runs of a study again",
    "estimate": "measure a few steps and say what a run would cost",
    "retrain": "train a cell from scratch and test it",
    "evaluate": "look the cells of a study up in another table",
    "report": "rank the methods of a study: HTML, figures and tables",
    "compare": "put two methods, or two studies, side by side",
    "list": "list methods, spaces, datasets, protocols, recipes and studies",
    "info": "explain a method, space, dataset, protocol or recipe, with every setting",
    "new": "write a method's file and its test, to begin from",
    "check": "hold methods, yours too, to what every method must keep to",
    "benchmark": "look up a cell in a tabular benchmark; import or build one",
    "ui": "open MLflow's page on the tracked runs",
    "sync": "deliver to MLflow what an outage held back",
}
"""Verb: its line of help. The command itself is ``<verb>_command`` in ``harness/cli/<verb>_command.py``."""

FILES = {"list": "info"}
"""Verbs that share a file."""


class Verbs(click.Group):
    """Commands by name, imported when called; the help needs only their names and lines."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"harness.cli.{FILES.get(cmd_name, cmd_name)}_command")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harness")
def harness() -> None:
    """Compare neural architecture search methods under one supernet, budget and set of seeds."""
    logger = logging.getLogger("harness")
    if not any(isinstance(handler, Messages) for handler in logger.handlers):
        logger.addHandler(Messages())
        logger.propagate = False


class Messages(logging.Handler):
    """Prints warnings of the library on the standard error stream, after the program's name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"harness: {record.getMessage()}", err=True)


def main() -> None:
    """Run the command line. Exit codes: 0 success, 1 some runs failed, 2 usage or input error, 130 interrupted."""
    try:
        harness(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except HarnessError as error:
        click.echo(f"harness: {error}", err=True)
        sys.exit(2)
    except ValueError as error:
        from harness.spaces.base import SpaceError  # imports torch, which is too slow to import for every command

        if not isinstance(error, SpaceError):
            raise
        click.echo(f"harness: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; run the same command again to go on", err=True)
        sys.exit(130)
