"""Call Spark's JVM: Hadoop's file systems, query plans, classes and Delta's log.

PySpark has no public interface for these calls. Functions return Python values; the name of a
function that returns a Java object says so. No other module uses py4j or the private attributes of
PySpark that lead to it.

Hadoop configuration
    `hadoop_conf` returns the configuration of the session: the settings of the session
    (``fs.s3a.…`` given to its builder or set later) override those of the cluster. Spark reads and
    writes tables with the same configuration, so these functions find every path that Spark finds.
"""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext, inheritable_thread_target
from pyspark.errors import PySparkException
from pyspark.errors.exceptions.captured import CapturedException
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType, StructType

logger = logging.getLogger(__name__)

T = TypeVar("T")

JAVA_ERRORS = (Py4JJavaError, CapturedException)
"""Errors of a call whose Java code raised an exception; `java_causes` lists its causes."""

CALL_ERRORS = (Py4JError, PySparkException)
"""All errors of a call of Java, also for a missing method or a lost JVM."""

_CLASSES = ("functions", "Column", "PythonUtils", "PythonRDD", "SparkSession")
_PACKAGES = ("org", "apache", "spark", "sql", "catalyst", "expressions")


class FileState(NamedTuple):
    """Length of a file in bytes, and time of its last change in milliseconds since 1970."""

    length: int
    changed: int


# Classes and errors


def current_session() -> SparkSession | None:
    """Return the active session of this thread, otherwise the process's; None without a session.

    Java has an active session for each of its threads. A Python thread that has not used Spark yet,
    or whose connection to Java is a new one, has none there.

    Examples
    --------
    >>> current_session() is not None
    True
    """
    if SparkContext._active_spark_context is None:
        return None
    return SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()


def java_view(spark: SparkSession) -> Any:
    """Return py4j's view of the JVM, which finds classes by name: ``view.java.lang.System``."""
    return spark._jvm


def java_property(spark: SparkSession, name: str) -> str:
    """Return a system property of Java, such as ``java.home``; '' if it is not set."""
    return java_view(spark).java.lang.System.getProperty(name) or ""


def java_frame(df: DataFrame) -> Any:
    """Return the Java Dataset of `df`, for a Java library that takes one."""
    return df._jdf


def java_type(spark: SparkSession, kind: DataType) -> Any:
    """Return the Java DataType of a Python DataType."""
    return _java_session(spark).parseDataType(kind.json())


def callback_view(spark: SparkSession) -> Any:
    """Return a view of the JVM in which Java can call Python objects that are passed to it.

    The first call of a session starts the server that receives these calls.
    """
    gateway: Any = spark.sparkContext._gateway
    ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
    return gateway.jvm


def has_class(spark: SparkSession, name: str) -> bool:
    """Tell whether a jar of Spark, also one of ``spark.jars``, holds the class `name`.

    The class is not initialised.

    Examples
    --------
    >>> has_class(spark, "java.lang.String"), has_class(spark, "java.lang.Strong")
    (True, False)
    """
    java = java_view(spark).java.lang
    try:
        java.Class.forName(name, False, java.Thread.currentThread().getContextClassLoader())
    except Py4JJavaError as error:
        if error.java_exception.getClass().getName() in (
            "java.lang.ClassNotFoundException",
            "java.lang.NoClassDefFoundError",
        ):
            return False
        raise
    return True


def java_causes(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield class and message of the Java exception of one of `JAVA_ERRORS`, and of its causes."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    if java is None:
        yield f"{type(error).__module__}.{type(error).__name__}", str(error)
    while java is not None:
        yield java.getClass().getName(), str(java.getMessage() or "")
        java = java.getCause()


def remember_classes(spark: SparkSession) -> None:
    """Cache the Java classes that PySpark looks up again for each column.

    PySpark looks a class up by its bare name: py4j tries the name in each imported package and
    searches every jar on the class path for classes that do not exist. That is most of the cost of
    ``F.col``.
    """
    view = java_view(spark)
    for name in _CLASSES:
        vars(view)[name] = getattr(view, name)
    for name in _PACKAGES:
        vars(view)[name] = view = getattr(view, name)


def inherit_properties(spark: SparkSession, call: Callable[[], T]) -> Callable[[], T]:
    """Wrap `call` so that its jobs in another thread keep this thread's job group and pool.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as pool:
    ...     rows = pool.submit(inherit_properties(spark, spark.range(3).count))
    >>> rows.result()
    3
    """
    inheriting: Any = inheritable_thread_target
    if not spark.version.startswith("3."):
        inheriting = inheriting(spark)  # Spark 4 warns without it
    inherited: Callable[[], T] = inheriting(call)
    return inherited


def stop_all_jobs() -> None:
    """Cancel all Spark jobs of this process; a signal handler may call it during a call of Java.

    Each Python thread has one connection to Java. If an exception interrupts a call, the answer of
    that call is still to come, and the next call of the thread would take it for its own. So this
    thread gets a new connection. From then on, Spark and py4j log nothing: each cancelled job and
    each interrupted call would log an error.

    Examples
    --------
    >>> stop_all_jobs()
    >>> spark.sparkContext.setLogLevel("ERROR")
    >>> spark.range(3).count()
    3
    """
    gateway: Any = SparkContext._gateway
    context: Any = SparkContext._active_spark_context
    if gateway is None:
        return
    logging.getLogger().addFilter(_is_not_of_py4j)  # py4j logs an interrupt to the root logger
    # The interrupted call still holds the old connection, and may close it. py4j has one thread
    # and one connection in common only if the variable PYSPARK_PIN_THREAD is unset or true.
    pinned = getattr(gateway._gateway_client, "thread_connection", None)
    if pinned is not None:
        pinned.connection = None
    if context is None or context._jsc is None:
        return
    try:
        context.setLogLevel("OFF")
        context.cancelAllJobs()
    except Py4JError:
        pass  # the JVM has ended, and its jobs with it


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return record.module != "java_gateway"


# Plans


def detach(df: DataFrame) -> DataFrame:
    """Return the same rows with a new plan that does not contain the plan of `df`.

    Spark analyses the whole plan of a table for each query on it, even if its rows are cached, and
    the plan of a cleaned text is large. Rows that are lost with an executor are still recomputed.

    Examples
    --------
    >>> detach(spark.range(2).withColumn("double", F.col("id") * 2)).collect()
    [Row(id=0, double=0), Row(id=1, double=2)]
    """
    spark = df.sparkSession
    rows = df._jdf.queryExecution().toRdd()
    java = _java_session(spark).internalCreateDataFrame(rows, df._jdf.schema(), False)
    return DataFrame(java, spark)


# Files


def hadoop_conf(spark: SparkSession) -> Any:
    """Return a copy of the session's Hadoop configuration."""
    return _java_session(spark).sessionState().newHadoopConf()


def set_hadoop(spark: SparkSession, settings: Mapping[str, str]) -> bool:
    """Set keys of the Hadoop configuration of all sessions; return whether a value changed."""
    context: Any = spark.sparkContext
    shared = context._jsc.hadoopConfiguration()
    changed = {key: value for key, value in settings.items() if shared.get(key) != value}
    for key, value in changed.items():
        shared.set(key, value)
    return bool(changed)


def java_path(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Return Hadoop's Path of `path`, and its FileSystem."""
    place = java_view(spark).org.apache.hadoop.fs.Path(path)
    return place, place.getFileSystem(hadoop_conf(spark))


def file_exists(spark: SparkSession, path: str) -> bool:
    """Tell whether Spark finds a file or folder at `path`.

    Examples
    --------
    >>> file_exists(spark, "/"), file_exists(spark, "/no/such/folder")
    (True, False)
    """
    place, system = java_path(spark, path)
    return bool(system.exists(place))


def absolute_path(spark: SparkSession, path: str) -> str:
    """Return `path` as an absolute URI with its scheme.

    A relative path starts in the working directory of Java, which may differ from Python's.
    """
    place, system = java_path(spark, path)
    return str(system.makeQualified(place).toString())


def file_states(spark: SparkSession, folder: str, names: Sequence[str]) -> dict[str, FileState]:
    """Return the state of each file of `names` that exists in `folder`."""
    root, system = java_path(spark, folder)
    found = {}
    for name in names:
        path = java_view(spark).org.apache.hadoop.fs.Path(root, name)
        if system.exists(path):
            status = system.getFileStatus(path)
            found[name] = FileState(int(status.getLen()), int(status.getModificationTime()))
    return found


def copy_to_local(spark: SparkSession, path: str, target: Path) -> None:
    """Copy the file at `path` to the local file `target`, without writing a checksum file."""
    source, system = java_path(spark, path)
    destination = java_view(spark).org.apache.hadoop.fs.Path(target.as_uri())
    keep_source, no_checksum = False, True
    system.copyToLocalFile(keep_source, source, destination, no_checksum)


def read_start(spark: SparkSession, uri: str, size: int, *, decompress: bool = True) -> bytes:
    """Return the first `size` bytes of a file; decompressed if its name has the suffix of a codec.

    `uri` has the form of Spark's ``inputFiles``, with ``%20`` for a blank. If `decompress` is
    False, the bytes are those of the file.
    """
    view, conf = java_view(spark), hadoop_conf(spark)
    path = view.org.apache.hadoop.fs.Path(view.java.net.URI(uri))
    stream = path.getFileSystem(conf).open(path)
    try:
        codec = view.org.apache.hadoop.io.compress.CompressionCodecFactory(conf).getCodec(path)
        codec = codec if decompress else None
        plain = codec.createInputStream(stream) if codec else stream
        bounded = view.org.apache.commons.io.input.BoundedInputStream(plain, size)
        return bytes(view.org.apache.commons.io.IOUtils.toByteArray(bounded))
    finally:
        stream.close()


def read_text(spark: SparkSession, path: str) -> str | None:
    """Return the content of a small UTF-8 file, or None if there is no file at `path`."""
    place, system = java_path(spark, path)
    if not system.exists(place):
        return None
    stream = system.open(place)
    try:
        return str(java_view(spark).org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def write_text(spark: SparkSession, path: str, text: str) -> None:
    """Write a UTF-8 file, in place of the file at `path` if there is one.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/note.txt"
    >>> write_text(spark, path, "kept")
    >>> read_text(spark, path), read_text(spark, path + ".old")
    ('kept', None)
    """
    place, system = java_path(spark, path)
    stream = system.create(place, True)
    try:
        stream.write(bytearray(text.encode()))
    finally:
        stream.close()


def has_encoding(spark: SparkSession, name: str) -> bool:
    """Tell whether Java knows the character encoding `name`.

    Examples
    --------
    >>> has_encoding(spark, "windows-1252"), has_encoding(spark, "utf-9"), has_encoding(spark, " ")
    (True, False, False)
    """
    try:
        return bool(java_view(spark).java.nio.charset.Charset.isSupported(name))
    except JAVA_ERRORS as error:
        if any(kind.endswith("IllegalCharsetNameException") for kind, _ in java_causes(error)):
            return False
        raise


def decode(spark: SparkSession, data: bytes, encoding: str) -> str:
    r"""Decode bytes as Java does, with U+FFFD for bytes that are not in the encoding.

    Examples
    --------
    >>> decode(spark, b"caf\xe9", "ISO-8859-1")
    'café'
    """
    return str(java_view(spark).java.lang.String(data, encoding))


def probe_folder(spark: SparkSession, folder: str, name: str) -> None:
    """Create `folder` if it is missing, then create and delete an empty file `name` in it."""
    path, system = java_path(spark, folder)
    system.mkdirs(path)
    probe = java_view(spark).org.apache.hadoop.fs.Path(path, name)
    system.create(probe, False).close()
    system.delete(probe, False)


def delete_folder(spark: SparkSession, path: str) -> None:
    """Delete the folder `path` and all that is in it; do nothing if there is none.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_text(spark, folder + "/a/note.txt", "old")
    >>> delete_folder(spark, folder)
    >>> file_exists(spark, folder)
    False
    """
    place, system = java_path(spark, path)
    system.delete(place, True)


@contextmanager
def checkpoints_in(spark: SparkSession, folder: str) -> Iterator[None]:
    """Let DataFrames be checkpointed in `folder` in the block, and delete it at the end.

    Without such a folder, a stage checkpoints on the executors, and the loss of one loses rows.

    The block runs unchanged if a checkpoint folder is set, or if the master is local: then the
    executor is this process, and a checkpoint in files is slower.

    Examples
    --------
    >>> with checkpoints_in(spark, "/no/such/folder"):
    ...     spark.sparkContext.getCheckpointDir() is None
    True
    """
    context: Any = spark.sparkContext
    if context._jsc.isLocal() or context.getCheckpointDir() is not None:
        yield
        return
    context.setCheckpointDir(folder)
    try:
        yield
    finally:
        context.setCheckpointDir(None)
        try:
            delete_folder(spark, folder)
        except CALL_ERRORS as error:  # the work is done, and its error must not be hidden
            logger.warning("%s: the checkpoints were not deleted (%s)", folder, type(error))


def forget_file_system(spark: SparkSession, uri: str) -> None:
    """Close the FileSystem that Hadoop caches for `uri`; the next use creates a new one."""
    view = java_view(spark)
    view.org.apache.hadoop.fs.FileSystem.get(view.java.net.URI(uri), hadoop_conf(spark)).close()


# Delta


class NewTable(NamedTuple):
    """Definition of a new Delta table: columns, partition columns, comment and properties."""

    schema: StructType
    partition_by: Sequence[str]
    comment: str
    properties: Mapping[str, str]


class Application(NamedTuple):
    """Id of a writer and number of its write; Delta stores both in the table's log."""

    name: str
    number: int


def delta_version(spark: SparkSession) -> str:
    """Return the version of Delta Lake that the session runs."""
    return str(getattr(java_view(spark).io.delta, "package").VERSION())  # noqa: B009


def delta_log(spark: SparkSession, path: str | None = None, *, table: str | None = None) -> Any:
    """Return the DeltaLog of the table in folder `path`, or of table `table` of the catalog.

    A folder without a table has a log too; the version of its snapshot is -1.
    """
    session = _java_session(spark)
    logs = java_view(spark).org.apache.spark.sql.delta.DeltaLog
    if path is not None:
        return logs.forTable(session, path)
    return logs.forTable(session, session.sessionState().sqlParser().parseTableIdentifier(table))


def delta_snapshot(spark: SparkSession, log: Any, *, look: bool = True) -> Any:
    """Return the newest Snapshot of a Delta table.

    Parameters
    ----------
    spark : SparkSession
    log : DeltaLog
        Log of the table.
    look : bool, default True
        Whether to list the log's folder for commits of other drivers. If False, the result is the
        last snapshot that this driver read or wrote.
    """
    if not look:
        return log.unsafeVolatileSnapshot()
    none = java_view(spark).scala.Option.empty()
    return log.update(False, none, none)


def delta_schema(snapshot: Any) -> StructType:
    """Return the columns of a snapshot of a table."""
    return StructType.fromJson(json.loads(snapshot.schema().json()))


def delta_read_log(snapshot: Any) -> None:
    """Read the whole log of a table; raise one of `JAVA_ERRORS` if it is damaged."""
    snapshot.numOfSetTransactions()  # unlike other figures, it is not in the checksum file


def delta_frame(spark: SparkSession, log: Any, snapshot: Any) -> DataFrame:
    """Return the rows of a snapshot of a table, without listing its log again."""
    view = java_view(spark)
    none, filters = view.scala.Option.empty(), view.PythonUtils.toSeq([])
    relation = log.createRelation(filters, view.scala.Option.apply(snapshot), none, True)
    return DataFrame(_java_session(spark).baseRelationToDataFrame(relation), spark)


def delta_place(spark: SparkSession, path: str, *, mark: bool = False) -> bool:
    """Tell whether the folder `path` is free for a Delta table, or already holds one.

    It is free if it is missing, empty or marked. The mark is an empty folder ``_delta_log``, which
    this function creates if `mark` is True. A writer that is killed in its first commit leaves
    data files; the mark shows that they belong to a Delta table.
    """
    folder, system = java_path(spark, path)
    log = java_view(spark).org.apache.hadoop.fs.Path(folder, "_delta_log")
    if system.exists(log):
        return True
    if system.exists(folder) and (
        not system.getFileStatus(folder).isDirectory() or len(system.listStatus(folder)) > 0
    ):
        return False
    if mark:
        system.mkdirs(log)
    return True


def delta_commit(
    spark: SparkSession,
    log: Any,
    snapshot: Any,
    rows: DataFrame | None,
    *,
    new: NewTable | None = None,
    application: Application | None = None,
    note: str | None = None,
    read_all: bool = False,
) -> int | None:
    """Write rows to a Delta table in one commit; with `new`, the commit also creates the table.

    Delta's own writer needs two commits for a table with NOT NULL columns, because it creates such
    a table only without rows.

    Parameters
    ----------
    spark : SparkSession
    log, snapshot : DeltaLog, Snapshot
        Log of the table, and the snapshot from which the rows were made.
    rows : DataFrame or None
        Rows to append, with the table's columns; None creates an empty table.
    new : NewTable, optional
        Definition of the table to create, if `snapshot` has none.
    application : Application, optional
        Stored in the log with the commit. Two concurrent commits of one application conflict.
    note : str, optional
        Stored in the table's history as ``userMetadata``.
    read_all : bool, default False
        Whether `rows` depend on all rows of `snapshot`. If True, an append of another driver after
        `snapshot` is a conflict. If False, appends of several drivers do not conflict.

    Returns
    -------
    int or None
        The version that was committed; None if there was nothing to write.

    Raises
    ------
    CapturedException
        If evaluating the rows fails or a row breaks a constraint of the table; on a conflict, one
        of Delta's ``ConcurrentModificationException``. Nothing is written.
    """
    view = java_view(spark)
    delta, option = view.org.apache.spark.sql.delta, view.scala.Option
    none, now = option.empty(), int(time.time() * 1000)
    with _active(spark):
        commit = log.startTransaction(none, option.apply(snapshot))
        metadata = None
        if new is not None:
            empty = getattr(getattr(delta.actions, "Metadata$"), "MODULE$")
            metadata = delta.actions.Metadata(
                str(uuid.uuid4()),
                None,
                new.comment,
                getattr(empty, "apply$default$4")(),
                new.schema.json(),
                view.PythonUtils.toSeq(list(new.partition_by)),
                view.PythonUtils.toScalaMap(dict(new.properties)),
                option.apply(now),
            )
            commit.updateMetadataForNewTable(metadata)
        if application is not None:
            getattr(commit.readTxn(), "$plus$eq")(application.name)
        if read_all:
            commit.readWholeTable()
        operations = delta.DeltaOperations
        if rows is None:
            actions = view.PythonUtils.toSeq([])
            operation = operations.CreateTable(metadata, False, False, none)
        else:
            actions = commit.writeFiles(rows._jdf)
            if actions.isEmpty() and new is None and application is None:
                return None
            append = view.org.apache.spark.sql.SaveMode.Append
            operation = operations.Write(append, none, none, option.apply(note))
        if application is not None:
            seen = delta.actions.SetTransaction(*application, option.apply(now))
            actions = getattr(actions.toList(), "$colon$colon")(seen)
        return int(commit.commit(actions, operation))


def delta_transaction(snapshot: Any, app: str) -> int | None:
    """Return the last write number of application `app` in a snapshot; None if it has none.

    Up to a hundred such numbers are in the checksum file that Delta writes for each commit. To
    collect them from the log, as Delta's ``transactions`` does, takes two Spark jobs.
    """
    described = snapshot.checksumOpt()
    listed = described.get().setTransactions() if described.isDefined() else described
    if not listed.isDefined():
        found = snapshot.transactions().get(app)
        return int(found.get()) if found.isDefined() else None
    each = listed.get().iterator()
    while each.hasNext():
        one = each.next()
        if one.appId() == app:
            return int(one.version())
    return None


def _java_session(spark: SparkSession) -> Any:
    session: Any = spark
    return session._jsparkSession


@contextmanager
def _active(spark: SparkSession) -> Iterator[None]:
    """Make `spark` the active session of Java code in this thread."""
    sessions = java_view(spark).org.apache.spark.sql.SparkSession
    before = sessions.getActiveSession()
    sessions.setActiveSession(_java_session(spark))
    try:
        yield
    finally:
        if before.isDefined():
            sessions.setActiveSession(before.get())
        else:
            sessions.clearActiveSession()
