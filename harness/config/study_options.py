"""The options of a study: everything that ``harness run`` takes, as one model.

The command line, ``harness run --config FILE`` and :func:`harness.run` fill the same model with the same names and
defaults; ``harness run --dry-run`` prints one as a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.config.seeds import read_seeds
from harness.config.settings import split_override
from harness.errors import HarnessError, explain, unknown

DEFAULT_SPACE = "nas-bench-201"

RECIPE = "recipe."
"""Begins the settings of the retraining recipe in ``set``."""

RETRIES = 2
"""Default number of times that a run whose process was killed is started again."""


def settings_of(value: Any) -> dict[str, Any]:
    """``set`` as a mapping: from one, or from texts ``KEY=VALUE``. A key that comes twice is refused."""
    if isinstance(value, Mapping):
        return {str(key): setting for key, setting in value.items()}
    if isinstance(value, str):
        value = [value]
    settings: dict[str, Any] = {}
    for text in value or ():
        key, setting = split_override(text)
        if key in settings:
            raise HarnessError(f"--set {key} is given twice, with {settings[key]!r} and {setting!r}; leave one out")
        settings[key] = setting
    return settings


def resources_of(value: Any) -> dict[str, float]:
    """Worker resources as a mapping: from one, or from texts ``NAME=AMOUNT``."""
    if isinstance(value, Mapping):
        pairs = [(str(name), amount) for name, amount in value.items()]
    else:
        texts = [value] if isinstance(value, str) else list(value or ())
        pairs = [(name, amount) for name, _, amount in (str(text).partition("=") for text in texts)]
    amounts = {}
    for name, amount in pairs:
        try:
            amounts[name] = float(amount)
        except (TypeError, ValueError):
            amounts[name] = -1.0
        if not name or not 0 <= amounts[name] < float("inf"):
            text = f"{name}={amount}" if amount else name
            raise HarnessError(f"--worker-resources {text!r} is no NAME=AMOUNT such as GPU=1")
    return amounts


def _listed(value: Any) -> Any:
    """One method as a list of one."""
    return list(value) if isinstance(value, list | tuple | set) else [value]


class StudyOptions(BaseModel):
    """The options of ``harness run``: methods and seeds, protocol, evaluation, and where the runs go."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)

    methods: Annotated[list[Any], BeforeValidator(_listed)] = Field(
        alias="method", min_length=1, description="names, groups of names, method classes or method objects"
    )
    seeds: Annotated[list[int], BeforeValidator(read_seeds)] = Field(
        default_factory=lambda: read_seeds(5), description="search seeds"
    )
    protocol: str = "quick"
    dataset: str | None = None
    space: str = DEFAULT_SPACE
    set: Annotated[dict[str, Any], BeforeValidator(settings_of)] = Field(default_factory=dict)
    table: Annotated[str | None, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value)] = None
    study: str | None = None
    runs: Path | None = None
    data_dir: Path | None = None
    jobs: Annotated[int, Field(ge=1)] | None = None
    device: str = "cpu"
    oracle_on_test: bool = False
    evaluate: Literal["lookup", "retrain", "both"] = "lookup"
    recipe: str | None = None
    training_seeds: Annotated[list[int], BeforeValidator(read_seeds)] = Field(default_factory=lambda: read_seeds(3))
    timeout: Annotated[float, Field(gt=0)] | None = Field(None, description="minutes")
    retries: int = Field(RETRIES, ge=0)
    executor: Literal["local", "dask"] = "local"
    scheduler: str | None = None
    worker_resources: Annotated[dict[str, float], BeforeValidator(resources_of)] = Field(default_factory=dict)
    fresh: bool = False
    no_mlflow: bool = False

    @classmethod
    def read(cls, values: Mapping[str, Any], below: Mapping[str, Any] = MappingProxyType({})) -> StudyOptions:
        """Options by name, over those of a file; ``set`` is merged key by key.

        A name may be written as an option (``data-dir``) or as in Python (``data_dir``).

        Raises:
            HarnessError: an unknown name, or a value out of range; the valid ones are listed.
        """
        upper, options = cls._by_field(values), cls._by_field(below)
        if "set" in upper:
            upper["set"] = {**settings_of(options.get("set")), **settings_of(upper["set"])}
        options |= upper
        if "methods" not in options:
            raise HarnessError("no method is named; add --method NAME, such as --method darts")
        try:
            return cls.model_validate(options)
        except ValidationError as error:
            raise HarnessError(f"options of the study: {explain(error)}") from None

    @classmethod
    def _by_field(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Options by the names of the fields."""
        known = {"method" if name == "methods" else name.replace("_", "-"): name for name in cls.model_fields}
        options = {}
        for key, value in values.items():
            name = known.get(str(key).replace("_", "-"), "methods" if key == "methods" else None)
            if name is None:
                raise HarnessError(unknown("option", str(key), known))
            options[name] = value
        return options

    @property
    def search_settings(self) -> dict[str, Any]:
        """The settings of methods and of the protocol."""
        settings = {key: value for key, value in self.set.items() if not key.startswith(RECIPE)}
        if self.dataset is None:
            return settings
        if "dataset" in settings:
            raise HarnessError("--dataset and --set dataset both name the data set; leave one out")
        return {**settings, "dataset": self.dataset}

    @property
    def recipe_settings(self) -> dict[str, Any]:
        """The settings of the retraining recipe, without their prefix."""
        return {key.removeprefix(RECIPE): value for key, value in self.set.items() if key.startswith(RECIPE)}

    def to_yaml(self) -> str:
        """A file that ``harness run --config`` reads: every option that is not its default, and the main ones.

        Raises:
            HarnessError: a method is a class or an object, which no file can name.
        """
        for method in self.methods:
            if not isinstance(method, str):
                raise HarnessError(f"{method!r} is no name that a file can hold; register it through an entry point")
        always = {"methods", "seeds", "protocol", "space"}
        content = {
            "method" if name == "methods" else name.replace("_", "-"): _plain(value)
            for name, value in self
            if name in always or value != type(self).model_fields[name].get_default(call_default_factory=True)
        }
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """A value as YAML holds it; seeds 0 to n - 1 as their number."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list) and value == list(range(len(value))) and len(value) <= 100:
        return len(value)
    return value


def read_config(path: Path) -> dict[str, Any]:
    """The options in a YAML file, for :meth:`StudyOptions.read`.

    Raises:
        HarnessError: the file cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"--config {path} cannot be read: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise HarnessError(f"--config {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise HarnessError(f"--config {path} must be a mapping of options, such as 'method: darts'")
    return {str(key).replace("_", "-"): value for key, value in content.items()}
