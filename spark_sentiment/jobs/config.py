"""Typed configuration, read from conf/.

``base.yaml`` holds every key with its default; the file on the command line holds the keys that
differ; ``--set key=value`` overrides both. The models here have no defaults of their own (except
for the items of lists), so that ``base.yaml`` is the only place with defaults.
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
Character = Annotated[str, Field(pattern=r"^(.|\\t)$")]

# The table `runs` stores the configuration, and must never store a credential.
_SECRET = re.compile(r"(?i)secret|password|passwd|token|access\.?key|credential(?!s?\.provider)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Run(_Section):
    """Id and description of a run."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] | None
    description: str


class Spark(_Section):
    """The session that a job starts if spark-submit has not started one."""

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
    """Generated reviews."""

    rows: Annotated[int, Field(ge=1)]
    seed: int


class Reviews(_Section):
    """Source of the reviews."""

    path: Name | Annotated[list[Name], Field(min_length=1)] | None
    format: Literal["csv", "tsv", "json", "parquet", "delta", "folders"]
    delimiter: Character | None
    quote: Character
    escape: Character | None
    encoding: Name | None
    header: bool
    version: Annotated[int, Field(ge=0)] | None
    columns: dict[str, Name | Annotated[list[Name], Field(min_length=1)]]
    max_rejected_share: Share
    generated: Generated

    @property
    def paths(self) -> list[str]:
        """The paths as a list; empty for generated reviews."""
        return [self.path] if isinstance(self.path, str) else list(self.path or ())

    @model_validator(mode="after")
    def _one_table(self) -> "Reviews":
        if self.format == "delta" and isinstance(self.path, list):
            raise ValueError("a Delta table is one folder, and path is a list")
        return self


class Output(_Section):
    """Place of tables and models."""

    base: Name
    database: Name | None
    model: Name | None


class Text(_Section):
    """Columns and cleaning steps of the text."""

    columns: Annotated[list[Name], Field(min_length=1)]
    steps: dict[str, Any]


class Labels(_Section):
    """Scale of the ratings, names of classes, and the bounds of each class in stars."""

    scale: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?\.\.-?\d+(\.\d+)?$")]
    names: dict[str, Literal["negative", "neutral", "positive"]]
    negative_max: float
    positive_min: float

    @model_validator(mode="after")
    def _ordered(self) -> "Labels":
        if self.negative_max >= self.positive_min:
            raise ValueError("negative_max must be below positive_min")
        return self


class Split(_Section):
    """Held-out part of the texts, and the seed."""

    test: Annotated[float, Field(gt=0, lt=1)]
    seed: int


class Embedding(_Section):
    """BERT checkpoint, engine and precision."""

    model_path: Name | None
    engine: Literal["openvino", "onnxruntime"]
    precision: Name
    layers: Annotated[int, Field(ge=1)] | None
    max_length: Annotated[int, Field(ge=8)] | None
    batch_size: Annotated[int, Field(ge=1)]


class Balance(_Section):
    """Balancing of classes of different size, in training only."""

    method: Literal["none", "weights", "under", "over", "smote"]
    formula: Literal["balanced", "sqrt", "effective-number"]
    k: Annotated[int, Field(ge=1)]


class Classifier(_Section):
    """Settings of the classifier."""

    params: dict[str, Any]


class SageMaker(_Section):
    """Settings of the trainer ``sagemaker``."""

    algorithm: Literal["xgboost-multiclass", "linear-learner-multiclass"]
    role: Name | None
    staging: Name | None
    region: Name | None
    endpoint_url: Name | None
    keep_endpoint: bool
    params: dict[str, Any]


class FacetSpec(_Section):
    """One facet: a column, and the rows that are group d."""

    column: Name
    values: list[str | int | float] | None = None
    against: list[str | int | float] | None = None
    threshold: float | None = None


class GateSpec(_Section):
    """A bound on a metric; None for facet, value or class matches all of them."""

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
    """Facets and metrics to measure, and gates."""

    positive: list[bool | int | float | str] | None
    group: Name | None
    max_facet_values: Annotated[int, Field(ge=2)]
    metrics: list[Name] | None
    facets: list[FacetSpec]
    gates: list[GateSpec]


class Score(_Section):
    """Model that jobs/score.py loads, and the way in which it takes the reviews."""

    model: Name | None
    stream: Literal["available", "continuous"] | None
    files_per_batch: Annotated[int, Field(ge=1)]


class Table(_Section):
    """Table that jobs/bias.py measures."""

    path: Name | None
    format: Literal["csv", "tsv", "parquet", "delta"]
    delimiter: Character | None
    version: Annotated[int, Field(ge=0)] | None
    label: Name
    prediction: Name | None


class Config(_Section):
    """The whole configuration of a job; conf/base.yaml explains every key."""

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
    """Read the configuration file `path`, which overrides the ``base.yaml`` in its folder.

    Parameters
    ----------
    path : str or Path
        A YAML file in the folder of ``base.yaml``, or ``base.yaml`` itself.
    settings : sequence of str
        Single keys that override both files, as ``section.key=value``. The value is read as YAML:
        ``null``, ``0.5``, ``[a, b]`` and ``{a: 1}`` have the same meaning as in the files.

    Returns
    -------
    Config
        Frozen and complete.

    Raises
    ------
    ConfigError
        If a file is missing or not YAML, or a key is unknown, missing or of the wrong type. The
        message names the key and its source: a file or ``--set``.

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
        # The message names only the key: the value may be a secret.
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
        value = text  # such as a Windows path or s3a://a:b, which is not valid YAML
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


# Sections with free keys: the value of a file replaces the default as a whole.
_FREE = {
    "spark.conf",
    "reviews.columns",
    "labels.names",
    "text.steps",
    "classifier.params",
    "sagemaker.params",
}


def _merge(
    into: dict[str, Any], new: dict[str, Any], source: str, origin: dict[str, str], above: str = ""
) -> None:
    """Merge `new` into `into`, section by section, and note the source of each key."""
    for key, value in new.items():
        name = f"{above}{key}"
        origin[name] = source
        if isinstance(value, dict) and isinstance(into.get(key), dict) and name not in _FREE:
            _merge(into[key], value, source, origin, f"{name}.")
        else:
            into[key] = value


def _explained(error: ValidationError, origin: dict[str, str], path: Path) -> str:
    """Return one line per problem: source, key, and what is expected."""
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
