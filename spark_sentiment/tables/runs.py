"""Runs: a record of versions, settings and code, to trace every figure."""

import hashlib
import importlib.metadata
import importlib.resources
import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.resources.abc import Traversable
from types import TracebackType
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_sentiment.core import side_by_side
from spark_sentiment.errors import RunConflictError, TableError
from spark_sentiment.tables.delta import Tables, Written
from spark_sentiment.tables.kept_embeddings import embedded
from spark_sentiment.tables.schemas import RUNS

logger = logging.getLogger(__name__)

_PACKAGE = "spark_sentiment"
_NOT_COMPARED = {"run", "output"}  # the name of the run, and the place of its results


class Run:
    """One attempt of a run: a context manager that records the run in table ``runs``.

    Read and write tables through it: it records their versions. It reads each table at one version
    for the whole run, even if others write to it; the run sees its own writes.

    Parameters
    ----------
    tables : Tables
        Tables that the run reads and writes.
    run_id : str
        Id of the run. With the same id, it is the same run: rows that it has appended are kept.
    config : mapping
        The configuration, as JSON values. The table stores it: it must not hold secrets. The
        sections ``run`` and ``output`` are not compared, so that tables can be moved.
    inputs : str, optional
        Fingerprint of input from outside of `tables`, such as `digest` of the reviews.
    compared : collection of str, optional
        Keys of `config`, such as ``reviews.path``, that must not differ between attempts; by
        default all keys outside of ``run`` and ``output``.

    Raises
    ------
    RunConflictError
        On entry, if the run id was used with another configuration or other inputs.
    TableError
        On entry, if the tables cannot be written.

    Notes
    -----
    It appends one row on entry (``started``) and one on exit: ``finished``, or ``failed`` with the
    type of the error. Each is a commit. The message of the error is not stored, because it may
    quote a review. A killed run has only the row ``started``.

    To read what a run has read, read each table of its last row at the version in that row:
    ``tables.read(name, version)``.

    Examples
    --------
    >>> import tempfile
    >>> from spark_sentiment.tables import Tables
    >>> tables = Tables(spark, tempfile.mkdtemp())
    >>> figures = spark.createDataFrame([("test", "accuracy", 0.86)], ["split", "metric", "value"])
    >>> with Run(tables, "run-1", {"seed": 7}) as run:
    ...     written = run.append("evaluations", figures)
    ...     rows = run.read("evaluations").count()
    >>> written.version, rows
    (0, 1)
    >>> last = last_rows(tables).head()
    >>> last.status, last.writes[0].table, last.writes[0].version
    ('finished', 'evaluations', 0)
    >>> Run(tables, "run-1", {"seed": 7}).finished().status
    'finished'
    """

    def __init__(
        self,
        tables: Tables,
        run_id: str,
        config: Mapping[str, Any],
        *,
        inputs: str = "",
        compared: Collection[str] | None = None,
    ) -> None:
        self.tables = tables
        self.run_id = run_id
        self._config = _canonical(config)
        self._keys = compared
        self.fingerprint = fingerprint(config, inputs, compared)
        self._model: tuple[str | None, str | None] = (None, None)
        self._reads: dict[tuple[str, int], None] = {}
        self._writes: dict[tuple[str, int], None] = {}
        self._pinned: dict[str, int | None] = {}
        self._started = datetime.now(UTC)

    def __enter__(self) -> "Run":
        if not self.run_id:
            raise TableError("the run id is empty")
        self.tables.check_writable()
        self.finished()
        self._started = datetime.now(UTC)
        self._write_row("started", None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write_row("finished", None)
            return
        try:
            self._write_row("failed", kind.__name__)
        except Exception as second:  # the first error must be raised, not this one
            logger.warning("run %s: its failure was not recorded (%s)", self.run_id, type(second))

    def finished(self) -> Row | None:
        """Return the row of this run's last finished attempt, or None.

        You may call it before you enter the run, to skip work that has finished.

        Raises
        ------
        RunConflictError
            If the run id was used with another configuration or other inputs.
        """
        if not self.tables.exists("runs"):
            return None
        rows = self.tables.read("runs").where(F.col("run_id") == self.run_id)
        told = F.struct("ended_at", "started_at", "status", "model_path", "model_fingerprint")
        other = F.when(F.col("fingerprint") != self.fingerprint, F.struct("started_at", "config"))
        with self.tables.reading():
            found = rows.agg(
                F.max(other).alias("other"),
                F.max(F.when(F.col("status") == "finished", told)).alias("last"),
            ).head()
        if found is not None and found["other"]:
            raise RunConflictError(
                f"run '{self.run_id}' was started before with another configuration or other "
                f"inputs ({self._differs(found['other']['config'])}); nothing was written: use a "
                "new run id, or the same configuration and input"
            )
        return None if found is None else found["last"]

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return table `name` at `version`, or at the version of the run's first read.

        A table that does not exist is read as empty, as by `Tables.read`. It stays empty for this
        run until the run writes to it. No version is recorded for it.

        Raises
        ------
        TableError
            As `Tables.read` does.
        """
        if version is None:
            if name not in self._pinned:
                self._pinned[name] = self.tables.last_version(name)
            version = self._pinned[name]
        if version is None:
            return self.tables.read(name).limit(0)
        df = self.tables.read(name, version)
        self._reads[name, version] = None
        return df

    def append(
        self,
        name: str,
        df: DataFrame,
        *,
        part: str = "",
        fingerprint: str | None = None,
        batch: int | None = None,
    ) -> Written:
        """Append `df` to table `name`, once for this run; see `Tables.append_once`.

        Give ``fingerprint=run.fingerprint`` if configuration and inputs of the run determine the
        rows, except for the last bits of numbers. A rerun then neither computes nor compares them.
        """
        done = self.tables.append_once(
            name, df, self.run_id, part=part, fingerprint=fingerprint, batch=batch
        )
        return self._wrote(name, done)

    def append_all(
        self, rows: Mapping[str, DataFrame], *, fingerprint: str | None = None
    ) -> dict[str, Written]:
        """Append rows to several tables in parallel, each as `append` does; `rows` maps names.

        If one append fails, the others are completed, and then its error is raised.
        """
        with side_by_side(self.tables.spark) as beside:
            started = {
                name: beside.start(
                    partial(self.tables.append_once, name, df, self.run_id, fingerprint=fingerprint)
                )
                for name, df in rows.items()
            }
        return {name: self._wrote(name, done.result()) for name, done in started.items()}

    def merge(
        self, name: str, df: DataFrame, keys: Sequence[str], *, update: bool = False
    ) -> Written:
        """Merge `df` into table `name` by `keys`; see `Tables.merge`."""
        return self._wrote(name, self.tables.merge(name, df, keys, update=update))

    def embedded(
        self,
        df: DataFrame,
        model: str,
        embed: Callable[[DataFrame], DataFrame],
        *,
        text: str = "text",
        output: str = "embedding",
    ) -> DataFrame:
        """Add the embedding of each text; compute only those not stored; see `embedded`."""
        found = embedded(self.tables, df, model, embed, text=text, output=output)
        if found.version is not None:
            self._reads["embeddings", found.version] = None
            if found.computed:
                self._wrote("embeddings", Written(found.version, True))
        return found.rows

    def set_model(self, path: str | None, fingerprint: str | None) -> None:
        """Record the model that the run created or used."""
        self._model = (path, fingerprint)

    def _differs(self, earlier: str) -> str:
        """Return the keys that differ from the configuration of an earlier attempt."""
        configs = (json.loads(config) for config in (earlier, self._config))
        before, now = (dict(_flat(_compared(config, self._keys))) for config in configs)
        keys = sorted(key for key in before | now if before.get(key) != now.get(key))
        return ", ".join(keys) or "the inputs"

    def _wrote(self, name: str, done: Written) -> Written:
        self._pinned[name] = done.version
        self._writes[name, done.version] = None
        return done

    def _write_row(self, status: str, error: str | None) -> None:
        spark = self.tables.spark
        row = {
            "run_id": self.run_id,
            "status": status,
            "started_at": self._started,
            "ended_at": None if status == "started" else datetime.now(UTC),
            "error": error,
            "fingerprint": self.fingerprint,
            "config": self._config,
            "package_version": package_version(),
            "code_digest": code_digest(),
            "spark_version": spark.version,
            "delta_version": self.tables.delta_version(),
            "model_path": self._model[0],
            "model_fingerprint": self._model[1],
            "reads": self._versions(self._reads),
            "writes": self._versions(self._writes),
        }
        values = [tuple(row[name] for name in RUNS.schema.names)]
        rows = spark.createDataFrame(values, RUNS.schema).coalesce(1)
        self.tables.append("runs", rows)

    def _versions(self, seen: Mapping[tuple[str, int], None]) -> list[tuple[str, str, int]]:
        return [(name, self.tables.location(name), version) for name, version in seen]


def last_rows(tables: Tables) -> DataFrame:
    """Return the newest row of each run in table ``runs``.

    Raises
    ------
    TableError
        If there are no runs.
    """
    rows = tables.read("runs")
    newest = F.max_by(
        F.struct(*rows.columns), F.struct("started_at", F.coalesce("ended_at", "started_at"))
    )
    return rows.groupBy("run_id").agg(newest.alias("_row")).select("_row.*")


def fingerprint(
    config: Mapping[str, Any], inputs: str = "", compared: Collection[str] | None = None
) -> str:
    """Return the SHA-256 of configuration and inputs of a `Run`: 64 digits.

    Examples
    --------
    >>> fingerprint({"seed": 7, "run": {"id": "a"}}) == fingerprint({"seed": 7})
    True
    >>> fingerprint({"seed": 7, "output": {"base": "/a"}}) == fingerprint({"seed": 7})
    True
    """
    content = f"{_canonical(_compared(config, compared))}\n{inputs}"
    return hashlib.sha256(content.encode()).hexdigest()


def finished_runs(tables: Tables, code: str) -> dict[str, Row]:
    """Return the newest finished run of each model that `code` made.

    Parameters
    ----------
    tables : Tables
    code : str
        Digest of the package's source files, as `code_digest` returns it.

    Returns
    -------
    dict of str to Row
        By fingerprint of the model: ``run_id``, ``model_path`` and ``ended_at``. Empty without
        table ``runs``.
    """
    if not tables.exists("runs"):
        return {}
    made = (F.col("code_digest") == code) & F.col("model_fingerprint").isNotNull()
    rows = tables.read("runs").where(made & (F.col("status") == "finished"))
    told = F.struct("ended_at", "run_id", "model_path")
    newest = rows.groupBy("model_fingerprint").agg(F.max(told).alias("run"))
    with tables.reading():
        return {row["model_fingerprint"]: row["run"] for row in newest.collect()}


def package_version() -> str:
    """Return the installed version of the package, or ``unknown`` if it runs from a zip file."""
    try:
        return importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def code_digest() -> str:
    """Return the SHA-256 of the package's source files: 64 hexadecimal digits.

    It covers names and contents of files, in the order of names, but not compiled files.

    Examples
    --------
    >>> len(code_digest())
    64
    """
    whole = hashlib.sha256()
    for name, file in sorted(_sources(importlib.resources.files(_PACKAGE), "")):
        content = file.read_bytes()
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _compared(config: Mapping[str, Any], keys: Collection[str] | None) -> dict[str, Any]:
    """Return the keys of a configuration that must not differ between attempts of a run."""
    if keys is not None:
        return {key: value for key, value in _flat(config) if key in keys}
    return {key: value for key, value in config.items() if key not in _NOT_COMPARED}


def _flat(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of all sections, such as ``split.seed``, with their values."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _canonical(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, ensure_ascii=False)


def _sources(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for item in folder.iterdir():
        if item.is_dir():
            found += _sources(item, f"{prefix}{item.name}/")
        elif item.name.endswith(".py"):
            found.append((prefix + item.name, item))
    return found
