"""Delta tables: create, read at a version, append once per run, merge by key.

A table is a folder under a base folder (a local path, ``s3a://…``, ``s3://…`` on EMR) or a name in
a database of the catalog. `schemas` declares the columns and constraints.

Two drivers, one table, on S3
    Delta's default log store for S3 is safe only for one driver per table: if two drivers commit at
    once, one commit is lost without an error. If several drivers write, set
    ``spark.delta.logStore.s3a.impl`` (and ``…s3.impl`` on EMR) to
    ``io.delta.storage.S3DynamoDBLogStore``, with DynamoDB's table and region under
    ``spark.io.delta.storage.S3DynamoDBLogStore.ddb.tableName`` and ``.ddb.region`` and the jar
    ``io.delta:delta-storage-s3-dynamodb`` on the class path, in every writer. `Tables` warns if the
    setting is absent. HDFS and local folders need no setting.

Retention of versions
    Tables keep their log, and the files that merges replace, for `RETENTION`. A version can be read
    for that long if ``VACUUM`` runs with its default; a shorter ``RETAIN`` deletes older versions.
    Appends replace no file.
"""

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, MapType, StructType

from spark_sentiment.core import jvm, refuse_stream
from spark_sentiment.errors import RunConflictError, SchemaError, TableError
from spark_sentiment.tables.errors import KEY_TWICE, Damage, damage, is_conflict, table_errors
from spark_sentiment.tables.schemas import TABLES, TableSpec, aligned, declared, mismatch

logger = logging.getLogger(__name__)

RETENTION = "interval 365 days"
"""Time for which a table's log and the files that merges replaced are kept."""

_DATABASE = re.compile(r"\w+(\.\w+)?")  # catalog.database or database
_TURNS = 5  # attempts of a write that conflicts with writes of other drivers
_TOKEN_BITS = 62  # Delta keeps a transaction's number as a signed 64-bit integer
_HASH_BITS = 32  # of this number, below the number of a batch


class Written(NamedTuple):
    """Result of a write: the version of the table, and whether this call wrote it."""

    version: int
    new: bool


class _State(NamedTuple):
    """State of a table: its DeltaLog, a Snapshot, and the version of the snapshot."""

    log: Any
    snapshot: Any
    version: int


class Tables:
    """The tables of one base folder or database.

    Parameters
    ----------
    spark : SparkSession
        Session with Delta's extension and catalog, such as from `get_session`.
    base : str, optional
        Folder or URI that holds one folder per table.
    database : str, optional
        Database of the catalog that holds the tables. Exactly one of `base` and `database`.

    Raises
    ------
    TableError
        If not exactly one of `base` and `database` is given, or the name of the database is
        invalid.

    Notes
    -----
    The constructor reads and writes nothing. The first write to a table creates it, with all
    constraints and its first rows, in one commit (in a database of the catalog: two). Before that
    write the table does not exist; if table ``runs`` exists, `read` returns an empty table for it.

    Examples
    --------
    >>> import tempfile
    >>> tables = Tables(spark, tempfile.mkdtemp())
    >>> figures = spark.createDataFrame([("test", "accuracy", 0.86)], ["split", "metric", "value"])
    >>> tables.append_once("evaluations", figures, "run-1")
    Written(version=0, new=True)
    >>> tables.append_once("evaluations", figures, "run-1")
    Written(version=0, new=False)
    >>> tables.append_once("evaluations", figures, "run-2")
    Written(version=1, new=True)
    >>> tables.read("evaluations").count(), tables.read("evaluations", version=0).count()
    (2, 1)
    """

    def __init__(
        self, spark: SparkSession, base: str | None = None, *, database: str | None = None
    ) -> None:
        if (base is None) == (database is None):
            raise TableError("tables need a base folder or a database: give exactly one of them")
        if database is not None and not _DATABASE.fullmatch(database):
            raise TableError(f"'{database}' is not a database name: use letters, digits and _ only")
        self._spark = spark
        self._base = _absolute(spark, base.rstrip("/") or base) if base else None
        self._database = database
        self._checked: set[str] = set()
        self._writable = False
        self._warn_of_s3()

    @property
    def spark(self) -> SparkSession:
        """The session that reads and writes the tables."""
        return self._spark

    def location(self, name: str) -> str:
        """Return the folder of table `name`, or its name in the catalog."""
        declared(name)
        return f"{self._base}/{name}" if self._base else f"{self._database}.{name}"

    def exists(self, name: str) -> bool:
        """Tell whether table `name` exists as a Delta table with a commit."""
        return self._find(name, "look for it") is not None

    def version(self, name: str) -> int:
        """Return the newest version of table `name`; raise TableError if it does not exist."""
        version = self.last_version(name)
        if version is None:
            raise TableError(f"{self._where(name)}: cannot read it: there is no Delta table")
        return version

    def last_version(self, name: str) -> int | None:
        """Return the newest version of table `name`, or None if it does not exist."""
        found = self._find(name, "read its version")
        return None if found is None else found.version

    def check_writable(self) -> None:
        """Raise TableError if the place of the tables is not writable.

        It creates the base folder or database if it is missing, and creates and deletes a probe
        file. A job calls it before any work. After the first success, it does nothing.
        """
        if self._writable:
            return
        place = self._base or f"database {self._database}"
        with table_errors(str(place), "write there", rows=False):
            if self._base is None:
                self._spark.sql(f"CREATE DATABASE IF NOT EXISTS {self._database}")
            folder = self._base or self._spark.catalog.getDatabase(str(self._database)).locationUri
            jvm.probe_folder(self._spark, folder, f"_probe-{uuid.uuid4().hex}")
        self._writable = True

    def create(self, *names: str) -> None:
        """Create the tables `names`, by default all tables, as empty tables if they do not exist.

        A write does not need this call: the first write creates its table.

        Raises
        ------
        TableError
            If the place holds other files, or a table with other columns.
        """
        for name in names or TABLES:

            def make(name: str = name) -> Written:
                state = self._open(name)
                if state.version >= 0:
                    return Written(state.version, False)
                return self._commit(name, state, None)

            self._write(name, "create it", make)

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return table `name` at its newest version, or at `version`.

        If the table does not exist but table ``runs`` does, no run has written rows to it, and the
        result is empty.

        Raises
        ------
        TableError
            If the table or version does not exist, its log is damaged, or it has other columns.

        Notes
        -----
        Spark reads the files of the rows when it computes them. `reading` gives its errors then.
        """
        location = self.location(name)
        try:
            with table_errors(self._where(name), "read it", rows=False):
                reader = self._spark.read
                if version is not None:
                    reader = reader.option("versionAsOf", version)
                if self._base:
                    found = reader.format("delta").load(location)
                else:
                    found = reader.table(location)
        except TableError:
            if version is None and self._is_unwritten(name):
                return self._spark.createDataFrame([], declared(name).schema)
            raise
        self._check_columns(name, found.schema)
        return found

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Raise TableError if a file of these tables is missing or damaged.

        Put the actions on rows of `read` into the block. Other errors pass unchanged.

        Examples
        --------
        >>> import tempfile
        >>> tables = Tables(spark, tempfile.mkdtemp())
        >>> tables.create("evaluations")
        >>> with tables.reading():
        ...     tables.read("evaluations").count()
        0
        """
        try:
            yield
        except jvm.JAVA_ERRORS as error:
            found = damage(error)
            name = None if found is None else self._damaged(found)
            if found is None or name is None:
                raise
            told = TableError(f"{self._where(name)}: {found.told('read it')}")
            for note in getattr(error, "__notes__", ()):
                told.add_note(note)
            # Spark's own message quotes the log, which holds the smallest and largest values.
            raise told from None

    def append_once(
        self,
        name: str,
        df: DataFrame,
        run_id: str,
        *,
        part: str = "",
        fingerprint: str | None = None,
        batch: int | None = None,
    ) -> Written:
        """Append `df` to table `name` for run `run_id`, unless this run has already appended it.

        Parameters
        ----------
        name : str
            Table to append to.
        df : DataFrame
            Rows without ``run_id`` and ``written_at``, which this method adds.
        run_id : str
            Id of the run. Only one driver at a time may use an id.
        part : str, optional
            Distinguishes several appends of one run to one table, such as ``"pre"`` and ``"post"``.
        fingerprint : str, optional
            Fingerprint of the input of the rows, if the caller knows it. By default a digest of the
            content of the rows, which does not depend on order or partitioning.
        batch : int, optional
            Number of the batch of a stream, 0 or more. A run appends its batches in order, each
            once; it may skip numbers. Only the last batch can be repeated.

        Returns
        -------
        Written
            The version of the table with the rows, and whether this call wrote them.

        Raises
        ------
        SchemaError
            If the columns are not those of the table; raised before any Spark job.
        RunConflictError
            If the run has appended with another fingerprint, or a batch with a larger number;
            nothing is written.
        TableError
            If a row breaks a constraint, or the table cannot be written.

        Notes
        -----
        Rows and fingerprint are one commit. Delta's log stores a number for each application that
        writes to a table; here the application is ``run_id/part``, and the number is 62 bits of the
        hash of the fingerprint. For a `batch`, it is the number of the batch and 32 bits of the
        hash: the log holds one number for a stream, however many batches the stream has. A job that
        is killed before the commit leaves no rows; one that is killed after it leaves all rows. To
        find a run, the method reads the current state of the table, not its history. Delta itself
        skips all rows under a known id; this method also compares the fingerprints and refuses
        other rows.

        If two drivers write under one id at the same time, Delta reports a conflict to the second,
        which then finds the rows of the first.

        With a `fingerprint`, a rerun computes no row. Without it, `df` is computed once into
        Spark's cache, digested, and written from the cache. If values of `df` differ in their last
        bits from run to run (for example those of a model trained on several cores), give the
        fingerprint of its input.
        """
        spec = declared(name)
        if "run_id" not in spec.stamped():
            raise TableError(f"{self._where(name)}: the table has no run ids; use merge")
        if not run_id:
            raise TableError(f"{self._where(name)}: the run id is empty")
        stamps = {"run_id": F.lit(run_id), "written_at": F.current_timestamp()}
        rows = aligned(df, spec, stamps)
        append = partial(self._append_as, name, run_id=run_id, part=part, batch=batch)
        if fingerprint is not None:
            return append(rows, fingerprint=fingerprint)
        content = rows.drop(*stamps)
        content.persist()
        try:
            return append(aligned(content, spec, stamps), fingerprint=digest(content))
        finally:
            content.unpersist()

    def append(self, name: str, df: DataFrame) -> Written:
        """Append `df` to table `name` at each call, without a check for earlier appends.

        Appends of several drivers never conflict.

        Raises
        ------
        SchemaError, TableError
            As `append_once` does.
        """
        rows = aligned(df, declared(name))
        return self._write(name, "append", lambda: self._commit(name, self._open(name), rows))

    def merge(
        self, name: str, df: DataFrame, keys: Sequence[str], *, update: bool = False
    ) -> Written:
        """Insert the rows of `df` whose key is not in table `name`.

        Parameters
        ----------
        name : str
            Table to merge into.
        df : DataFrame
            Rows with the table's columns. It is computed once; with `update`, Delta materializes
            it for that.
        keys : list of str
            Columns, without nulls, that identify a row.
        update : bool, default False
            Whether to overwrite rows with the same key and other values.

        Returns
        -------
        Written
            The version of the table; `new` is False if there was nothing to write.

        Raises
        ------
        SchemaError
            If the columns are not those of the table; before any Spark job.
        TableError
            If two rows of `df` have the same key, a row breaks a constraint, or another driver
            writes to the table at the same time. Nothing is written.

        Notes
        -----
        The merge is idempotent: merging the same rows again changes nothing. It joins once on the
        keys; the search for repeated keys uses the shuffle of the join. If another driver adds rows
        at the same time, the join is repeated with these rows.
        """
        spec = declared(name)
        if spec.stamped():
            raise TableError(f"{self._where(name)}: the table has run ids; use append_once")
        rows = aligned(df, spec)
        for key in keys:
            if key not in spec.schema.names:
                raise SchemaError(f"{self._where(name)}: key '{key}' is not one of its columns")
        twice = F.count(F.lit(1)).over(Window.partitionBy(*keys)) > 1
        single = F.when(twice, F.raise_error(F.lit(KEY_TWICE)).cast("boolean")).otherwise(True)
        rows = rows.withColumn("_single", single).where("_single").drop("_single")

        def insert() -> Written:
            state = self._open(name)
            if state.version < 0:
                return self._commit(name, state, rows)
            if update:
                return self._merge_with_updates(name, state, rows, keys)
            there = jvm.delta_frame(self._spark, state.log, state.snapshot).select(*keys)
            fresh = rows.join(there, list(keys), "left_anti").select(*spec.schema.names)
            return self._commit(name, state, fresh, read_all=True)

        return self._write(name, "merge", insert)

    def delta_version(self) -> str:
        """Return the version of Delta Lake that the session runs."""
        return jvm.delta_version(self._spark)

    def _append_as(
        self,
        name: str,
        rows: DataFrame,
        *,
        run_id: str,
        part: str,
        batch: int | None,
        fingerprint: str,
    ) -> Written:
        app = f"{run_id}/{part}" if part else run_id
        token = _token(fingerprint, batch)
        told = {"run_id": run_id, "part": part, "fingerprint": fingerprint}
        note = json.dumps(told if batch is None else told | {"batch": batch})

        def add() -> Written:
            state = self._open(name)
            if self._seen(name, state, app, token, batch):
                logger.info("%s: run %s has already appended its rows", self._where(name), app)
                return Written(state.version, False)
            return self._commit(name, state, rows, jvm.Application(app, token), note)

        return self._write(name, "append", add)

    def _merge_with_updates(
        self, name: str, state: "_State", rows: DataFrame, keys: Sequence[str]
    ) -> Written:
        others = [c for c in declared(name).schema.names if c not in keys]
        changed = " or ".join(f"not (t.`{c}` <=> s.`{c}`)" for c in others)
        merge = (
            self._delta(name)
            .alias("t")
            .merge(rows.alias("s"), " and ".join(f"t.`{key}` = s.`{key}`" for key in keys))
        )
        if others:
            merge = merge.whenMatchedUpdateAll(condition=changed)
        merge.whenNotMatchedInsertAll().execute()
        after = int(jvm.delta_snapshot(self._spark, state.log, look=False).version())
        return Written(after, after > state.version)

    def _write(self, name: str, doing: str, write: Callable[[], Written]) -> Written:
        """Call `write`; call it again after a conflict. Each call reads the table's newest state.

        Two first writes of a table conflict, two merges, and two appends under the same run id.
        """
        turn = 1
        with self.reading(), table_errors(self._where(name), doing):
            while True:
                try:
                    return write()
                except jvm.JAVA_ERRORS as error:
                    if turn == _TURNS or not is_conflict(error):
                        raise
                    logger.info("%s: another writer committed first; retrying", self._where(name))
                    turn += 1

    def _commit(
        self,
        name: str,
        state: "_State",
        rows: DataFrame | None,
        application: jvm.Application | None = None,
        note: str | None = None,
        *,
        read_all: bool = False,
    ) -> Written:
        """Append `rows` to the table in `state`; create the table if it does not exist."""
        spec, new = declared(name), None
        if state.version < 0:
            if not jvm.delta_place(self._spark, self.location(name), mark=True):
                raise TableError(
                    f"{self._where(name)}: the folder holds other files; "
                    "choose another place, or move them away"
                )
            new = jvm.NewTable(spec.schema, spec.partition_by, spec.comment, _properties(spec))
        version = jvm.delta_commit(
            self._spark,
            state.log,
            state.snapshot,
            rows,
            new=new,
            application=application,
            note=note,
            read_all=read_all,
        )
        return Written(state.version, False) if version is None else Written(version, True)

    def _seen(self, name: str, state: "_State", app: str, token: int, batch: int | None) -> bool:
        """Tell whether `app` appended with `token`; raise if it appended with another token."""
        if state.version < 0:
            return False
        with table_errors(self._where(name), "read its transactions", rows=False):
            known = jvm.delta_transaction(state.snapshot, app)
        if known is not None and batch is not None:
            last = known >> _HASH_BITS
            if last < batch:
                return False
            if last > batch:
                raise RunConflictError(
                    f"{self._where(name)}: run '{app}' has already appended batch {last}, and this "
                    f"is batch {batch}; nothing was written: the checkpoint of the stream was "
                    "deleted or belongs to another stream; use a new run id to read all rows again"
                )
        if known not in (None, token):
            raise RunConflictError(
                f"{self._where(name)}: run '{app}' has already appended other input; "
                "nothing was written: use a new run id, or the same input"
            )
        return known is not None

    def _find(self, name: str, doing: str) -> "_State | None":
        """Return the newest state of table `name`, or None if it does not exist."""
        location = self.location(name)
        with table_errors(self._where(name), doing, rows=False):
            if not self._base and not self._spark.catalog.tableExists(location):
                return None
            state = self._state(location)
        return None if state.version < 0 else state

    def _open(self, name: str) -> "_State":
        """Return the state of table `name` to write to; a table that does not exist has version -1.

        In a database of the catalog, this method creates the table, without rows.
        """
        spec = declared(name)
        found = self._find(name, "look for it")
        if found is None:
            with table_errors(self._where(name), "create it", rows=False):
                if not self._base:
                    self._builder(spec).execute()
                return self._state(self.location(name))
        if name not in self._checked:
            with table_errors(self._where(name), "read its columns", rows=False):
                schema = jvm.delta_schema(found.snapshot)
            self._check_columns(name, schema)
            self._checked.add(name)
        return found

    def _check_columns(self, name: str, schema: StructType) -> None:
        """Raise TableError if table `name` has other columns than it should."""
        differs = mismatch(schema, declared(name))
        if differs:
            raise TableError(
                f"{self._where(name)}: the existing table has other columns: {differs}; it may be "
                "of another version of this library: choose another place, or move it away"
            )

    def _damaged(self, found: Damage) -> str | None:
        """Return the name of the table that has the file of `found`; None if no table has it."""
        base = self._base or self._spark.catalog.getDatabase(str(self._database)).locationUri
        named = next((name for name in TABLES if found.is_below(f"{base}/{name}")), None)
        if named is None and found.in_log:
            return next((name for name in TABLES if self._has_damaged_log(name)), None)
        return named

    def _has_damaged_log(self, name: str) -> bool:
        try:
            state = self._find(name, "look for it")
            if state is not None:
                jvm.delta_read_log(state.snapshot)
        except (TableError, *jvm.JAVA_ERRORS):
            return True
        return False

    def _state(self, location: str) -> "_State":
        named = {"path": location} if self._base else {"table": location}
        log = jvm.delta_log(self._spark, **named)
        snapshot = jvm.delta_snapshot(self._spark, log)
        return _State(log, snapshot, int(snapshot.version()))

    def _is_unwritten(self, name: str) -> bool:
        """Tell whether table ``runs`` exists and the place of table `name` is free."""
        if name == "runs" or self._find(name, "read it") is not None or not self.exists("runs"):
            return False
        return not self._base or jvm.delta_place(self._spark, self.location(name))

    def _where(self, name: str) -> str:
        return f"table '{name}' ({self.location(name)})"

    def _delta(self, name: str) -> DeltaTable:
        location = self.location(name)
        if self._base:
            return DeltaTable.forPath(self._spark, location)
        return DeltaTable.forName(self._spark, location)

    def _builder(self, spec: TableSpec) -> Any:
        builder = DeltaTable.createIfNotExists(self._spark).tableName(self.location(spec.name))
        builder = builder.comment(spec.comment)
        builder = builder.addColumns(spec.schema).partitionedBy(*spec.partition_by)
        for key, value in _properties(spec).items():
            builder = builder.property(key, value)
        return builder

    def _warn_of_s3(self) -> None:
        scheme = urlsplit(self._base or "").scheme
        key = f"spark.delta.logStore.{scheme}.impl"
        if scheme in ("s3", "s3a", "s3n") and self._spark.conf.get(key, None) is None:
            logger.warning(
                "%s: %s is not set: only one driver at a time can write these tables safely",
                self._base,
                key,
            )


def digest(df: DataFrame) -> str:
    """Return a fingerprint of the rows of `df` that does not depend on order or partitioning.

    Parameters
    ----------
    df : DataFrame
        Rows with any columns. Content, type, name and position of each column affect the result.

    Returns
    -------
    str
        64 hexadecimal digits: the SHA-256 of the schema, the number of rows, and the sum and the
        exclusive or of the rows' 64-bit hashes.

    Notes
    -----
    It takes one pass with one aggregation. It distinguishes inputs, but it is not secure against
    constructed collisions.

    Examples
    --------
    >>> rows = spark.createDataFrame([(1, "a"), (2, None)], ["n", "t"])
    >>> digest(rows) == digest(rows.orderBy(F.desc("n")).repartition(3))
    True
    >>> digest(rows) == digest(rows.where("n = 1"))
    False
    """
    refuse_stream(df, "digest")
    # xxhash64 ignores nulls: the flags distinguish ("a", null) and (null, "a").
    columns = list(_hashable(df))
    row = F.xxhash64(*columns, *(column.isNull() for column in columns))
    total = F.sum(row.cast(DecimalType(20, 0)))  # a sum of integers would overflow
    found = df.agg(F.count(F.lit(1)), total, F.bit_xor(row)).head()
    content = [df.schema.simpleString(), *(str(value) for value in found or ())]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _hashable(df: DataFrame) -> Iterable[Column]:
    for field in df.schema.fields:
        column = F.col(f"`{field.name}`")
        yield F.to_json(column) if isinstance(field.dataType, MapType) else column


def _properties(spec: TableSpec) -> dict[str, str]:
    """Return the properties of a new table, with its constraints.

    As properties, the constraints are part of the commit that creates the table. ALTER TABLE would
    need a scan and a commit for each.
    """
    checks = {f"delta.constraints.{check}": sql for check, sql in spec.checks.items()}
    kept = ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")
    return checks | dict.fromkeys(kept, RETENTION)


def _token(fingerprint: str, batch: int | None) -> int:
    """Return the number by which Delta's log knows an append."""
    whole = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest(), "big")
    if batch is None:
        return whole >> (256 - _TOKEN_BITS)
    return batch << _HASH_BITS | whole >> (256 - _HASH_BITS)


def _absolute(spark: SparkSession, base: str) -> str:
    """Return `base` as an absolute path: Delta does not accept a relative folder."""
    if base.startswith("/") or urlsplit(base).scheme:
        return base
    return jvm.absolute_path(spark, base)
