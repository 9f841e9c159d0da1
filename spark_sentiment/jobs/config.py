"""Typed configuration, read from conf/.

``base.yaml`` holds every key with its default; the file named on the command line holds what
differs; ``--set key=value`` beats both. The models here have no defaults of their own (but for the
items of lists), so that ``base.yaml`` stays the one place where a default is written.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from spark_sentiment.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]

# The configuration is kept in the `runs` table, where no credential may ever be.
_SECRET = re.compile(r"(?i)secret|password|passwd|token|access\.?key|credential(?!s?\.provider)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Run(_Section):
    """Names one run of a job."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] | None
    description: str


class Spark(_Section):
    """The session that a job starts where spark-submit has started none."""

    master: Name | None
    packages: list[Name]
    conf: dict[str, str]

    @model_validator(mode="after")
    def _no_secrets(self) -> "Spark":
        secret = [key for key in self.conf if _SECRET.search(key)]
        if secret:
            raise ValueError(f"{secret[0]} is a secret; use an instance role or a Java keystore")
        return self


class Generated(_Section):
    """Reviews made by the project itself."""

    rows: Annotated[int, Field(ge=1)]
    seed: int


class Reviews(_Section):
    """Where reviews come from."""

    path: Name | None
    format: Literal["csv", "parquet", "delta"]
    version: Annotated[int, Field(ge=0)] | None
    columns: dict[str, Name]
    max_rejected_share: Share
    generated: Generated


class Output(_Section):
    """Where tables and models go."""

    base: Name
    database: Name | None
    model: Name | None


class Text(_Section):
    """How review texts are joined and cleaned."""

    columns: Annotated[list[Name], Field(min_length=1)]
    steps: dict[str, Any]


class Labels(_Section):
    """Which ratings are which class."""

    negative_max: float
    positive_min: float

    @model_validator(mode="after")
    def _ordered(self) -> "Labels":
        if self.negative_max >= self.positive_min:
            raise ValueError("negative_max must be below positive_min")
        return self


class Split(_Section):
    """What is held back for the evaluation."""

    test: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class Embedding(_Section):
    """The BERT checkpoint and how it is run."""

    model_path: Name | None
    engine: Literal["openvino", "onnxruntime"]
    precision: Name
    layers: Annotated[int, Field(ge=1)] | None
    max_length: Annotated[int, Field(ge=8)] | None
    batch_size: Annotated[int, Field(ge=1)]


class Balance(_Section):
    """What is done about classes of different size, in training alone."""

    method: Literal["none", "weights", "under", "over", "smote"]
    formula: Literal["balanced", "sqrt", "effective-number"]
    k: Annotated[int, Field(ge=1)]


class Classifier(_Section):
    """Settings of the classifier."""

    params: dict[str, Any]


class SageMaker(_Section):
    """Where and as whom SageMaker trains."""

    algorithm: Literal["xgboost-multiclass", "linear-learner-multiclass"]
    role: Name | None
    staging: Name | None
    region: Name | None
    endpoint_url: Name | None
    keep_endpoint: bool
    params: dict[str, Any]


class FacetSpec(_Section):
    """One facet: a column, and which of its rows are the group asked about."""

    column: Name
    values: list[str | int | float] | None = None
    against: list[str | int | float] | None = None
    threshold: float | None = None


class GateSpec(_Section):
    """A bound on a metric; None for facet, value or class means every one of them."""

    metric: Name
    facet: str | None = None
    facet_value: str | None = None
    label_class: str | float | None = None
    phase: Literal["pre", "post"] | None = None
    low: float | None = None
    high: float | None = None
    undefined: bool = False

    @model_validator(mode="after")
    def _bounded(self) -> "GateSpec":
        if self.low is None and self.high is None:
            raise ValueError("a gate needs low, high or both")
        return self


class Bias(_Section):
    """Which bias is measured, and which bounds it has to keep."""

    positive: list[float] | None
    group: Name | None
    metrics: list[Name] | None
    facets: list[FacetSpec]
    gates: list[GateSpec]


class Score(_Section):
    """What jobs/score.py loads."""

    model: Name | None


class Table(_Section):
    """What jobs/bias.py measures."""

    path: Name | None
    format: Literal["csv", "parquet", "delta"]
    version: Annotated[int, Field(ge=0)] | None
    label: Name
    prediction: Name | None


class Config(_Section):
    """The whole configuration of a job; every key is explained in conf/base.yaml."""

    run: Run
    spark: Spark
    reviews: Reviews
    output: Output
    text: Text
    labels: Labels
    split: Split
    embedding: Embedding
    features: Annotated[list[Literal["tfidf", "embedding"]], Field(min_length=1)] | None
    trainer: Literal["spark", "sagemaker"]
    sagemaker: SageMaker
    balance: Balance
    classifier: Classifier
    bias: Bias
    score: Score
    table: Table


def load(path: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read the configuration file `path` over the ``base.yaml`` beside it.

    Parameters
    ----------
    path : str or Path
        A YAML file in the folder that holds ``base.yaml``; ``base.yaml`` itself will do.
    settings : sequence of str
        Single keys to set over both, as ``section.key=value``; the value is read as YAML, so
        ``null``, ``0.5``, ``[a, b]`` and ``{a: 1}`` mean what they mean in the files.

    Returns
    -------
    Config
        Frozen and complete.

    Raises
    ------
    ConfigError
        Where a file is missing or no YAML, or a key is unknown, missing or of the wrong type. The
        message names the key and the file (or ``--set``) that it came from.

    Examples
    --------
    >>> load("conf/local.yaml", ["reviews.generated.rows=50"]).reviews.generated.rows
    50
    """
    path = Path(path)
    base = path.parent / "base.yaml"
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for file in dict.fromkeys((base, path)):
        _merge(merged, _parsed(file), str(file), origin)
    for setting in settings:
        # The source is named by its key alone: a value may be what should not be repeated.
        _merge(merged, _setting(setting), f"--set {setting.partition('=')[0]}", origin)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explained(error, origin, path)) from None


def _parsed(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{file}{line}: not valid YAML") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: expected keys and values, found a {type(content).__name__}")
    return content


def _setting(setting: str) -> dict[str, Any]:
    key, sign, text = setting.partition("=")
    if not sign or not all(key.split(".")):
        raise ConfigError(f"--set {setting}: expected section.key=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = (
            text  # such as a Windows path or s3a://a:b, which YAML would take for something else
        )
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


# Sections that hold free keys: what a file gives replaces the default as a whole.
_FREE = {"spark.conf", "reviews.columns", "text.steps", "classifier.params", "sagemaker.params"}


def _merge(
    into: dict[str, Any], new: dict[str, Any], source: str, origin: dict[str, str], above: str = ""
) -> None:
    """Put `new` over `into`, section by section, noting where each key came from."""
    for key, value in new.items():
        name = f"{above}{key}"
        origin[name] = source
        if isinstance(value, dict) and isinstance(into.get(key), dict) and name not in _FREE:
            _merge(into[key], value, source, origin, f"{name}.")
        else:
            into[key] = value


def _explained(error: ValidationError, origin: dict[str, str], path: Path) -> str:
    """Say each thing that is wrong on a line: key, what is expected, where it came from."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        parts = [str(part) for part in problem["loc"]]
        key = ".".join(parts)
        known = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        source = next((origin[name] for name in known if name in origin), str(path))
        if problem["type"] == "extra_forbidden":
            siblings = ", ".join(_keys(parts[:-1]))
            what = f"unknown key; {'.'.join(parts[:-1]) or 'the top level'} has: {siblings}"
        elif problem["type"] == "missing":
            what = "missing; restore it in base.yaml"
        else:
            found = problem["input"]
            what = problem["msg"].removeprefix("Value error, ")
            if not isinstance(found, _Section | dict):
                what += f", found {found!r}"
        lines.append(f"{source}: {key}: {what}")
    return "\n".join(dict.fromkeys(lines))


def _keys(parts: Sequence[str]) -> list[str]:
    """List the keys of the section at `parts`."""
    model: Any = Config
    for part in parts:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            continue  # a list's index
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        sections = [c for c in candidates if isinstance(c, type) and issubclass(c, _Section)]
        model = sections[0] if sections else model
    return list(model.model_fields)
