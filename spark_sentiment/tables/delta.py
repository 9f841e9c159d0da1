"""Delta tables: create, read at a version, append once a run, merge by key.

A table is a folder under a base folder (a local path, ``s3a://…``, ``s3://…`` on EMR) or a name in
a database of the catalog. `table_schemas` declares their columns and constraints.

Two drivers, one table, on S3
    Delta's default log store for S3 is safe for one driver a table only: of two that commit at once
    one loses its commit, silently. Where several drivers write, set
    ``spark.delta.logStore.s3a.impl`` (and ``…s3.impl`` on EMR) to
    ``io.delta.storage.S3DynamoDBLogStore``, with DynamoDB's table and region under
    ``spark.io.delta.storage.S3DynamoDBLogStore.ddb.tableName`` and ``.ddb.region`` and the jar
    ``io.delta:delta-storage-s3-dynamodb`` on the class path, in every writer alike. `Tables` warns
    where the setting is absent. HDFS and local folders need nothing.

How long versions last
    Tables made here keep their log and the files that merges replace for `RETENTION`. A version can
    be read for that long, if ``VACUUM`` is run with its default: a shorter ``RETAIN`` takes the
    versions of that time with it. Appends replace no file.
"""

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, MapType, StructType

from spark_sentiment.core import jvm
from spark_sentiment.errors import RunConflictError, SchemaError, TableError
from spark_sentiment.tables.errors import KEY_TWICE, table_errors
from spark_sentiment.tables.schemas import TABLES, TableSpec, aligned, declared, mismatch

logger = logging.getLogger(__name__)

RETENTION = "interval 365 days"
"""How long a table's log, and the files its merges replaced, are kept for reads of old versions."""

_DATABASE = re.compile(r"\w+(\.\w+)?")  # catalog.database, or database alone
_TOKEN_BITS = 62  # Delta keeps a transaction's number as a signed 64-bit integer


class Written(NamedTuple):
    """What a write did: the table's version afterwards, and whether this call wrote it."""

    version: int
    new: bool


class Tables:
    """The tables of one base folder or database.

    Parameters
    ----------
    spark : SparkSession
        With Delta's extension and catalog, as `session` builds it.
    base : str, optional
        Folder or URI that holds one folder per table.
    database : str, optional
        Database of the catalog that holds the tables. Exactly one of `base` and `database`.

    Raises
    ------
    TableError
        Where not exactly one of `base` and `database` is given, or the database's name is none.

    Notes
    -----
    Nothing is read or written until a method is called. A table is made, empty, by its first write:
    one commit, with all its constraints.

    Examples
    --------
    >>> import tempfile
    >>> tables = Tables(spark, tempfile.mkdtemp())
    >>> figures = spark.createDataFrame([("test", "accuracy", 0.86)], ["split", "metric", "value"])
    >>> tables.append_once("evaluations", figures, "run-1")
    Written(version=1, new=True)
    >>> tables.append_once("evaluations", figures, "run-1")
    Written(version=1, new=False)
    >>> tables.read("evaluations").count(), tables.read("evaluations", version=0).count()
    (1, 0)
    """

    def __init__(
        self, spark: SparkSession, base: str | None = None, *, database: str | None = None
    ) -> None:
        if (base is None) == (database is None):
            raise TableError("tables need a base folder or a database: give exactly one of them")
        if database is not None and not _DATABASE.fullmatch(database):
            raise TableError(f"'{database}' is no name of a database: letters, digits and _ only")
        self._spark = spark
        self._base = _absolute(spark, base.rstrip("/") or base) if base else None
        self._database = database
        self._checked: set[str] = set()
        self._warn_of_s3()

    @property
    def spark(self) -> SparkSession:
        """The session that the tables are read and written with."""
        return self._spark

    def location(self, name: str) -> str:
        """Return the folder, or the catalog's name, of table `name`."""
        declared(name)
        return f"{self._base}/{name}" if self._base else f"{self._database}.{name}"

    def exists(self, name: str) -> bool:
        """Tell whether table `name` is there, as a Delta table."""
        location = self.location(name)
        with table_errors(self._where(name), "look for it", rows=False):
            if self._base:
                return bool(DeltaTable.isDeltaTable(self._spark, location))
            return bool(self._spark.catalog.tableExists(location))

    def version(self, name: str) -> int:
        """Return the latest version of table `name`; raise TableError where it is not there."""
        with table_errors(self._where(name), "read its version", rows=False):
            return int(self._snapshot(name).version())

    def check_writable(self) -> None:
        """Raise TableError unless files can be made where the tables are to be written.

        Makes the base folder (or database) where it is missing, and a probe file that it deletes
        again. A job calls it before any work.
        """
        place = self._base or f"database {self._database}"
        with table_errors(str(place), "write there", rows=False):
            if self._base is None:
                self._spark.sql(f"CREATE DATABASE IF NOT EXISTS {self._database}")
            folder = self._base or self._spark.catalog.getDatabase(str(self._database)).locationUri
            jvm.probe_folder(self._spark, folder, f"_probe-{uuid.uuid4().hex}")

    def create(self, *names: str) -> None:
        """Make the tables called `names`, all by default, where they are not there yet.

        Raises
        ------
        TableError
            Where the place holds something else, or a table with other columns.
        """
        for name in names or TABLES:
            if name in self._checked:
                continue
            spec = declared(name)
            if not self.exists(name):
                with table_errors(self._where(name), "create it", rows=False):
                    self._builder(spec).execute()
            with table_errors(self._where(name), "read its columns", rows=False):
                found = StructType.fromJson(json.loads(self._snapshot(name).schema().json()))
            differs = mismatch(found, spec)
            if differs:
                raise TableError(
                    f"{self._where(name)}: the table there is another one: {differs}; "
                    "choose another place, or move it away"
                )
            self._checked.add(name)

    def read(self, name: str, version: int | None = None) -> DataFrame:
        """Return table `name` as it is now, or as it was at `version`.

        Raises
        ------
        TableError
            Where there is no such table or version, or its log is damaged.
        """
        location = self.location(name)
        with table_errors(self._where(name), "read it", rows=False):
            reader = self._spark.read
            if version is not None:
                reader = reader.option("versionAsOf", version)
            if self._base:
                return reader.format("delta").load(location)
            return reader.table(location)

    def append_once(
        self,
        name: str,
        df: DataFrame,
        run_id: str,
        *,
        part: str = "",
        fingerprint: str | None = None,
    ) -> Written:
        """Append `df` to table `name` for run `run_id`, unless that run did so before.

        Parameters
        ----------
        name : str
            Table to append to.
        df : DataFrame
            Rows without ``run_id`` and ``written_at``, which are filled in.
        run_id : str
            The run. One driver at a time may work under one id.
        part : str, optional
            Tells apart several appends of one run to one table, such as ``"pre"`` and ``"post"``.
        fingerprint : str, optional
            What the rows are made from, where the caller knows it. By default the rows themselves:
            a digest of their content that no order or partitioning changes.

        Returns
        -------
        Written
            The table's version that holds the rows, and whether they were written now.

        Raises
        ------
        SchemaError
            Where the columns are not those of the table; before any Spark job.
        RunConflictError
            Where the run appended before with another fingerprint; nothing is written.
        TableError
            Where a row breaks a constraint, or the table cannot be written.

        Notes
        -----
        Rows and fingerprint are one commit: Delta's log keeps a number for each application that
        wrote to a table; the application is here ``run_id/part`` and the number 62 bits of the
        fingerprint's hash. A job killed before the commit leaves nothing, one killed after it
        everything. Looking a run up reads the table's current state, not its history. Delta alone
        would skip whatever else comes under a known id; the comparison here is what refuses it.

        With a `fingerprint` a rerun computes no row. Without, `df` is computed once into Spark's
        cache, digested, and written from there; where `df` holds what differs in its last bits from
        run to run (a model trained on several cores), give a fingerprint of its input.
        """
        spec = declared(name)
        if "run_id" not in spec.stamped():
            raise TableError(f"{self._where(name)}: rows are not kept by run here; use merge")
        if not run_id:
            raise TableError(f"{self._where(name)}: the run id is empty")
        stamps = {"run_id": F.lit(run_id), "written_at": F.current_timestamp()}
        rows = aligned(df, spec, stamps)
        self.create(name)
        if fingerprint is not None:
            return self._append_as(name, rows, run_id, part, fingerprint)
        content = rows.drop(*stamps)
        content.persist()
        try:
            return self._append_as(
                name, aligned(content, spec, stamps), run_id, part, digest(content)
            )
        finally:
            content.unpersist()

    def append(self, name: str, df: DataFrame) -> None:
        """Append `df` to table `name`, as often as it is called.

        Raises
        ------
        SchemaError, TableError
            As `append_once` does.
        """
        rows = aligned(df, declared(name))
        self.create(name)
        self._write(name, rows, {})

    def merge(
        self, name: str, df: DataFrame, keys: Sequence[str], *, update: bool = False
    ) -> Written:
        """Insert the rows of `df` whose key is not in table `name` yet.

        Parameters
        ----------
        name : str
            Table to merge into.
        df : DataFrame
            Rows with the table's columns. It is computed once, or kept by Delta while it merges.
        keys : list of str
            Columns, without nulls, that tell a row from all others.
        update : bool, default False
            Overwrite the rows whose key is there with other values; equal rows stay as they are.

        Returns
        -------
        Written
            The table's version afterwards; `new` is False where nothing had to be written.

        Raises
        ------
        SchemaError
            Where the columns are not those of the table; before any Spark job.
        TableError
            Where two rows of `df` have the same key, a row breaks a constraint, or another driver
            wrote to the table meanwhile. Nothing is written.

        Notes
        -----
        Idempotent: the same rows again change nothing. One join on the keys; looking for keys that
        come twice needs no shuffle but that of the join.
        """
        spec = declared(name)
        if spec.stamped():
            raise TableError(f"{self._where(name)}: rows are kept by run here; use append_once")
        rows = aligned(df, spec)
        for key in keys:
            if key not in spec.schema.names:
                raise SchemaError(f"{self._where(name)}: key '{key}' is not one of its columns")
        self.create(name)
        twice = F.count(F.lit(1)).over(Window.partitionBy(*keys)) > 1
        single = F.when(twice, F.raise_error(F.lit(KEY_TWICE)).cast("boolean")).otherwise(True)
        rows = rows.withColumn("_single", single).where("_single").drop("_single")
        others = [c for c in spec.schema.names if c not in keys]
        changed = " or ".join(f"not (t.`{c}` <=> s.`{c}`)" for c in others)
        with table_errors(self._where(name), "merge"):
            before = self._snapshot(name).version()
            merge = (
                self._delta(name)
                .alias("t")
                .merge(rows.alias("s"), " and ".join(f"t.`{key}` = s.`{key}`" for key in keys))
            )
            if update and others:
                merge = merge.whenMatchedUpdateAll(condition=changed)
            merge.whenNotMatchedInsertAll().execute()
            after = self._snapshot(name).version()
        return Written(int(after), after > before)

    def delta_version(self) -> str:
        """Return the version of Delta Lake that the session runs."""
        return jvm.delta_version(self._spark)

    def _append_as(
        self, name: str, rows: DataFrame, run_id: str, part: str, fingerprint: str
    ) -> Written:
        app = f"{run_id}/{part}" if part else run_id
        token = _token(fingerprint)
        if self._seen(name, app, token):
            logger.info("%s: run %s was appended before; nothing to do", self._where(name), app)
            return Written(self.version(name), False)
        note = {"run_id": run_id, "part": part, "fingerprint": fingerprint}
        options = {"txnAppId": app, "txnVersion": str(token), "userMetadata": json.dumps(note)}
        self._write(name, rows, options)
        # Another driver under the same id may have come first; Delta then wrote nothing for us.
        self._seen(name, app, token)
        return Written(self.version(name), True)

    def _write(self, name: str, rows: DataFrame, options: dict[str, str]) -> None:
        with table_errors(self._where(name), "append"):
            writer = rows.write.format("delta").mode("append").options(**options)
            if self._base:
                writer.save(self.location(name))
            else:
                writer.saveAsTable(self.location(name))

    def _seen(self, name: str, app: str, token: int) -> bool:
        """Tell whether `app` appended with `token`; raise where it did with another."""
        with table_errors(self._where(name), "read its transactions", rows=False):
            known = jvm.delta_transaction(self._snapshot(name), app)
        if known not in (None, token):
            raise RunConflictError(
                f"{self._where(name)}: run '{app}' appended here before, with other input; "
                "nothing was written: use a new run id, or the same input"
            )
        return known is not None

    def _where(self, name: str) -> str:
        return f"table '{name}' ({self.location(name)})"

    def _delta(self, name: str) -> DeltaTable:
        location = self.location(name)
        if self._base:
            return DeltaTable.forPath(self._spark, location)
        return DeltaTable.forName(self._spark, location)

    def _snapshot(self, name: str) -> Any:
        """Return Delta's own view of the table's latest state: no job where it has not changed."""
        self._delta(name)  # raises where there is no table, which has a log too
        location = self.location(name)
        named = {"path": location} if self._base else {"table": location}
        return jvm.delta_snapshot(self._spark, jvm.delta_log(self._spark, **named))

    def _builder(self, spec: TableSpec) -> Any:
        builder = DeltaTable.createIfNotExists(self._spark).comment(spec.comment)
        builder = builder.addColumns(spec.schema).partitionedBy(*spec.partition_by)
        if self._base:
            builder = builder.location(self.location(spec.name))
        else:
            builder = builder.tableName(self.location(spec.name))
        # As properties the constraints are part of the one commit that makes the table; ALTER TABLE
        # would take a scan and a commit for each.
        for check, condition in spec.checks.items():
            builder = builder.property(f"delta.constraints.{check}", condition)
        builder = builder.property("delta.logRetentionDuration", RETENTION)
        return builder.property("delta.deletedFileRetentionDuration", RETENTION)

    def _warn_of_s3(self) -> None:
        scheme = urlsplit(self._base or "").scheme
        key = f"spark.delta.logStore.{scheme}.impl"
        if scheme in ("s3", "s3a", "s3n") and self._spark.conf.get(key, None) is None:
            logger.warning(
                "%s: %s is not set: only one driver at a time may write these tables",
                self._base,
                key,
            )


def digest(df: DataFrame) -> str:
    """Return a fingerprint of the rows of `df`, whatever their order and partitioning.

    Parameters
    ----------
    df : DataFrame
        Any columns; the content and type of each counts, and its name and place.

    Returns
    -------
    str
        64 hexadecimal digits: the SHA-256 of the schema, the number of rows, and the sum and the
        exclusive or of the rows' 64-bit hashes.

    Notes
    -----
    One pass, one aggregation. It tells inputs apart; it does not withstand someone who wants two
    inputs to look alike.

    Examples
    --------
    >>> rows = spark.createDataFrame([(1, "a"), (2, None)], ["n", "t"])
    >>> digest(rows) == digest(rows.orderBy(F.desc("n")).repartition(3))
    True
    >>> digest(rows) == digest(rows.where("n = 1"))
    False
    """
    # xxhash64 passes over nulls, so ("a", null) and (null, "a") need the flags to differ.
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


def _token(fingerprint: str) -> int:
    whole = int.from_bytes(hashlib.sha256(fingerprint.encode()).digest(), "big")
    return whole >> (256 - _TOKEN_BITS)


def _absolute(spark: SparkSession, base: str) -> str:
    """Return where `base` is from the root of its file system: Delta takes no relative folder."""
    if base.startswith("/") or urlsplit(base).scheme:
        return base
    return jvm.absolute_path(spark, base)
