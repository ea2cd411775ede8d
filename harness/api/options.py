"""Functions that take the options of a study as keywords."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack

from harness.config.study_options import StudyOptions, read_config
from harness.study.configure import MethodLike

Result_co = TypeVar("Result_co", covariant=True)


class StudyKeywords(TypedDict, total=False):
    """The options of ``harness run`` as keywords; each may be left out. ``harness run --help`` explains them."""

    seeds: int | str | Sequence[int]
    protocol: str
    dataset: str | None
    space: str
    set: Mapping[str, Any] | Sequence[str]
    table: str | Path | None
    study: str | None
    runs: str | Path | None
    data_dir: str | Path | None
    jobs: int | None
    device: str
    oracle_on_test: bool
    evaluate: Literal["lookup", "retrain", "both"]
    recipe: str | None
    training_seeds: int | str | Sequence[int]
    timeout: float | None
    retries: int
    executor: Literal["local", "dask"]
    scheduler: str | None
    worker_resources: Mapping[str, float]
    fresh: bool
    no_mlflow: bool


class TakesStudyOptions(Protocol[Result_co]):
    """A function that takes methods and the options of a study."""

    def __call__(
        self,
        methods: MethodLike | Sequence[MethodLike] | None = None,
        *,
        config: str | Path | None = None,
        **options: Unpack[StudyKeywords],
    ) -> Result_co: ...


def takes_study_options(function: Callable[[StudyOptions], Result_co]) -> TakesStudyOptions[Result_co]:
    """Make a function of :class:`StudyOptions` one that takes them as keywords, ``config`` being a file below them."""

    @functools.wraps(function)
    def called(methods: Any = None, *, config: str | Path | None = None, **options: Any) -> Result_co:
        named = {"methods": methods, **options} if methods is not None else options
        return function(options_of(config, named))

    fields = StudyOptions.model_fields
    defaults = {name: info.get_default(call_default_factory=True) for name, info in fields.items()}
    keyword = inspect.Parameter.KEYWORD_ONLY
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("methods", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None),
            inspect.Parameter("config", keyword, default=None),
            *(inspect.Parameter(name, keyword, default=defaults[name]) for name in fields if name != "methods"),
        ]
    )
    return called


def options_of(config: str | Path | None, options: Mapping[str, Any]) -> StudyOptions:
    """Options over those of a file. Raises :class:`HarnessError` as :meth:`StudyOptions.read` does."""
    return StudyOptions.read(options, {} if config is None else read_config(Path(config)))
