"""The options of a study on the command line: those of ``harness run``, which ``harness estimate`` takes too."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    FOLDER,
    backend_options,
    data_option,
    device_option,
    no_mlflow_option,
    retries_option,
    runs_option,
    space_option,
    timeout_option,
)

if TYPE_CHECKING:
    from harness.config.study_options import StudyOptions

_OPTIONS: list[Callable[[Any], Any]] = [
    click.option(
        "--method",
        "methods",
        multiple=True,
        metavar="NAME",
        help="A method; repeat it for several. 'all', 'gradient', 'weight-sharing' and 'query' are groups of methods.",
    ),
    click.option(
        "--seeds", default="5", show_default=True, metavar="SEEDS", help="A count, a list 5,7,9 or a range 10-14."
    ),
    click.option("--protocol", default="quick", show_default=True, help="By name, or a YAML file of your own."),
    click.option("--dataset", metavar="NAME", help="Search on this data set; short for --set dataset=NAME."),
    space_option,
    click.option(
        "--set",
        "set",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a hyper-parameter (gdas.tau_max=5), a setting of the protocol (search.epochs=10) or of the recipe "
        "(recipe.training.epochs=12).",
    ),
    click.option(
        "--table",
        metavar="NAME",
        help="Look cells up in this table: an imported one, or a CSV file.  [default: the study's, at first the "
        "embedded one]",
    ),
    click.option(
        "--study", metavar="NAME", help="Name of the study.  [default: the protocol, with its hash if it was changed]"
    ),
    runs_option,
    data_option,
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        help="Runs at once; they share the cores.  [default: all cores, as far as the memory goes]",
    ),
    device_option,
    click.option(
        "--oracle-on-test",
        is_flag=True,
        help="Answer query-based methods by the test accuracy of a table without validation; reports say so.",
    ),
    click.option(
        "--evaluate",
        type=click.Choice(["lookup", "retrain", "both"]),
        default="lookup",
        show_default=True,
        help="Final cells: look them up, train them from scratch on the data searched on, or both.",
    ),
    click.option(
        "--recipe",
        metavar="NAME",
        help="Recipe that retrains cells, by name or file.  [default: short for digits, else nas-bench-201]",
    ),
    click.option(
        "--training-seeds",
        default="3",
        show_default=True,
        metavar="SEEDS",
        help="Seeds of each retrained cell, as for --seeds.",
    ),
    timeout_option,
    retries_option,
    backend_options,
    click.option("--fresh", is_flag=True, help="Start over: delete what these runs left before."),
    no_mlflow_option,
    click.option(
        "--config",
        type=FOLDER,
        metavar="FILE",
        help="Read options from a YAML file, as --dry-run prints it; options on the command line go before it.",
    ),
]


def takes_study_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a study; it gets a :class:`StudyOptions` as its first argument."""

    @functools.wraps(command)
    def bundled(**values: Any) -> None:
        from harness.api.options import options_of

        context = click.get_current_context()
        rest = {name: values.pop(name) for name in own}
        config = values.pop("config")
        typed = {name: value for name, value in values.items() if _is_given(context, name)}
        options: StudyOptions = options_of(config, typed)
        command(options, **rest)

    own = [str(parameter.name) for parameter in getattr(command, "__click_params__", [])]
    return functools.reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), bundled)


def _is_given(context: click.Context, name: str) -> bool:
    """True if the user typed an option, whose value then goes before that of a file."""
    return context.get_parameter_source(name) not in {
        click.core.ParameterSource.DEFAULT,
        click.core.ParameterSource.DEFAULT_MAP,
        None,
    }
