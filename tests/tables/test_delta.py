"""Delta tables: what they refuse, what they write once, and what can be read again."""

import json
import logging
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_sentiment.core import jvm
from spark_sentiment.errors import RunConflictError, SchemaError, TableError
from spark_sentiment.reviews.schema import REVIEWS
from spark_sentiment.tables.delta import RETENTION, Tables, digest
from spark_sentiment.tables.kept_embeddings import embedded, text_hash
from spark_sentiment.tables.runs import Run, code_digest, last_rows
from spark_sentiment.tables.schemas import TABLES, aligned, declared

FIGURES = "split string, metric string, label_class string, value double"
PREDICTIONS = (
    "model string, review_id string, label double, prediction double, probability array<double>"
)
KEY = "0" * 64


@pytest.fixture(scope="module")
def shared(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """All tables, empty, for tests that write nothing that another reads."""
    tables = Tables(spark, str(tmp_path_factory.mktemp("tables")))
    tables.create()
    return tables


@pytest.fixture
def tables(spark: SparkSession, tmp_path: Path) -> Tables:
    return Tables(spark, str(tmp_path / "new" / "tables"))


def review(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(REVIEWS.names)
    return row | {"review_id": "a", "review_text": "SECRET WORDS", "rating": 5} | changes


def reviews(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    loose = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in REVIEWS.fields)
    return spark.createDataFrame([tuple(row.values()) for row in rows], loose)


def figures(spark: SparkSession, *values: float) -> DataFrame:
    return spark.createDataFrame([("test", "f1", str(v), v) for v in values], FIGURES)


def cached_rdds(spark: SparkSession) -> dict[int, str]:
    """What Spark holds in its cache, Delta's own state among it."""
    rdds = spark.sparkContext._jsc.getPersistentRDDs()
    return {key: str(rdds[key].name()) for key in rdds}


# What a table is


def test_each_table_is_made_in_one_commit_with_comments_and_constraints(
    spark: SparkSession, shared: Tables
) -> None:
    for name, spec in TABLES.items():
        assert shared.version(name) == 0
        location = shared.location(name)
        detail = spark.sql(f"DESCRIBE DETAIL delta.`{location}`").head()
        assert detail.description == spec.comment
        assert {f"delta.constraints.{check}" for check in spec.checks} <= set(detail.properties)
        found = shared.read(name).schema
        assert all(field.metadata.get("comment") for field in found.fields)
        written = Path(location, "_delta_log", "00000000000000000000.json").read_text()
        meta = next(json.loads(a)["metaData"] for a in written.splitlines() if "metaData" in a)
        nullable = {f["name"]: f["nullable"] for f in json.loads(meta["schemaString"])["fields"]}
        assert nullable == {f.name: f.nullable for f in spec.schema.fields}


def test_a_first_write_makes_table_and_rows_in_one_commit(
    spark: SparkSession, tables: Tables
) -> None:
    spec = TABLES["evaluations"]
    assert tables.append_once("evaluations", figures(spark, 0.5), "r1") == (0, True)
    log = Path(tables.location("evaluations"), "_delta_log")
    assert [path.name for path in log.glob("*.json")] == ["00000000000000000000.json"]
    actions = [json.loads(line) for line in (log / "00000000000000000000.json").open()]
    found = {name: action[name] for action in actions for name in action}
    assert {"commitInfo", "metaData", "protocol", "add", "txn"} == set(found)
    meta = found["metaData"]
    assert meta["description"] == spec.comment
    assert json.loads(meta["schemaString"]) == json.loads(spec.schema.json())
    assert meta["configuration"] == {
        **{f"delta.constraints.{name}": sql for name, sql in spec.checks.items()},
        "delta.logRetentionDuration": RETENTION,
        "delta.deletedFileRetentionDuration": RETENTION,
    }
    assert found["txn"]["appId"] == "r1"
    history = spark.sql(f"DESCRIBE HISTORY delta.`{tables.location('evaluations')}`").head()
    assert history.operation == "WRITE"
    assert history.operationMetrics["numOutputRows"] == "1"
    assert json.loads(history.userMetadata)["run_id"] == "r1"


def test_a_table_that_a_first_write_made_is_partitioned_and_holds_its_constraints(
    spark: SparkSession, tables: Tables
) -> None:
    schema = "text_hash string, model string, vector array<float>"
    rows = spark.createDataFrame([(KEY, "m", [1.0])], schema)
    for broken in (rows.withColumn("model", F.lit("")), rows.withColumn("text_hash", F.lit("1"))):
        with pytest.raises(TableError, match="a row breaks the constraint"):
            tables.append("embeddings", broken)
        assert not tables.exists("embeddings")
    assert tables.append("embeddings", rows) == (0, True)
    detail = spark.sql(f"DESCRIBE DETAIL delta.`{tables.location('embeddings')}`").head()
    assert detail.partitionColumns == ["model"]
    assert tables.append("embeddings", rows.limit(0)) == (0, False)
    with pytest.raises(TableError, match="column 'review_id' is NOT NULL, but null in a row"):
        tables.merge("reviews", reviews(spark, review(review_id=None)), ["review_id"])
    assert not tables.exists("reviews")


def test_an_empty_log_is_no_table_and_is_written_to(spark: SparkSession, tables: Tables) -> None:
    Path(tables.location("evaluations"), "_delta_log").mkdir(parents=True)
    assert not tables.exists("evaluations")
    with pytest.raises(TableError, match="there is no Delta table"):
        tables.version("evaluations")
    with pytest.raises(TableError, match="there is no Delta table"):
        tables.read("evaluations")
    assert tables.append_once("evaluations", figures(spark, 0.5), "r") == (0, True)
    assert tables.read("evaluations").count() == 1


def test_a_table_without_rows_is_read_as_empty_where_runs_are_kept(
    spark: SparkSession, tables: Tables
) -> None:
    with Run(tables, "r1", {}) as run:
        found = run.read("reviews_rejected")
        assert found.count() == 0
        assert found.schema == TABLES["reviews_rejected"].schema
    assert tables.read("reviews_rejected").isEmpty()
    assert not Path(tables.location("reviews_rejected")).exists()
    assert last_rows(tables).head().reads == []
    with pytest.raises(TableError, match="cannot read it"):
        tables.read("reviews_rejected", version=0)
    for name in ("features", "reviews"):
        Path(tables.location(name)).mkdir()
    Path(tables.location("features"), "notes.txt").write_text("not a table")
    with pytest.raises(TableError, match="'features'"):
        tables.read("features")
    assert tables.read("reviews").isEmpty()


def test_an_unknown_table_is_named_with_those_that_exist(shared: Tables) -> None:
    with pytest.raises(TableError, match="'review' is not declared; the tables are: reviews,"):
        shared.read("review")


# Constraints


CONSTRAINTS: dict[str, tuple[str, Callable[[Tables], object]]] = {
    "null_id": (
        r"reviews.*column 'review_id' is NOT NULL, but null in a row",
        lambda t: t.merge("reviews", reviews(t.spark, review(review_id=None)), ["review_id"]),
    ),
    "six stars": (
        r"reviews.*constraint 'rating_range'",
        lambda t: t.merge("reviews", reviews(t.spark, review(rating=6)), ["review_id"]),
    ),
    "probability above one": (
        r"predictions.*constraint 'probability_range'",
        lambda t: t.append_once(
            "predictions",
            t.spark.createDataFrame([("m", "a", None, 1.0, [0.0, 1.5, 0.0])], PREDICTIONS),
            "r1",
        ),
    ),
    "two probabilities": (
        r"predictions.*constraint 'probability_range'",
        lambda t: t.append_once(
            "predictions",
            t.spark.createDataFrame([("m", "a", None, 1.0, [0.0, 1.0])], PREDICTIONS),
            "r2",
        ),
    ),
    "a fourth class": (
        r"predictions.*constraint 'prediction_class'",
        lambda t: t.append_once(
            "predictions", t.spark.createDataFrame([("m", "a", None, 3.0, None)], PREDICTIONS), "r3"
        ),
    ),
    "a vector that is not finite": (
        r"embeddings.*constraint 'vector_finite'",
        lambda t: t.append(
            "embeddings",
            t.spark.createDataFrame([(KEY, "m", [1.0, float("nan")])], ["text_hash", "model", "v"])
            .withColumn("vector", F.col("v").cast("array<float>"))
            .drop("v"),
        ),
    ),
}


@pytest.mark.parametrize("case", CONSTRAINTS)
def test_a_row_that_breaks_a_constraint_names_it_and_quotes_nothing(
    shared: Tables, case: str
) -> None:
    message, write = CONSTRAINTS[case]
    with pytest.raises(TableError, match=message) as caught:
        write(shared)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    name = str(caught.value).split("'")[1]
    assert shared.version(name) == 0


# Schemas


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("metric string", "column 'split' is missing; the columns are: metric"),
        ("split string, metric string, note string", "column 'note' is not declared"),
        ("split string, metric int", "column 'metric' must be string, found int"),
        ("split string, metric string, value decimal(3,1)", "must be double, found decimal"),
        ("split string, metric string, run_id string", "'run_id' is added when rows are written"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_any_work(
    spark: SparkSession, tables: Tables, schema: str, message: str
) -> None:
    with pytest.raises(SchemaError, match=f"table 'evaluations'.*{message}"):
        tables.append_once("evaluations", spark.createDataFrame([], schema), "r")
    assert not tables.exists("evaluations")


def test_numbers_are_widened_vectors_unpacked_and_what_may_be_null_left_out(
    spark: SparkSession,
) -> None:
    given = spark.createDataFrame(
        [(Vectors.dense(0.5, 0.25, 0.25), 1, "a", "m")],
        ["probability", "prediction", "review_id", "model"],
    ).withColumn("prediction", F.col("prediction").cast("int"))
    stamps = {"run_id": F.lit("r"), "written_at": F.lit(None).cast("timestamp")}
    assert aligned(given, declared("predictions"), stamps).head() == Row(
        run_id="r",
        model="m",
        review_id="a",
        label=None,
        prediction=1.0,
        probability=[0.5, 0.25, 0.25],
        written_at=None,
    )


def test_numbers_are_never_narrowed(spark: SparkSession) -> None:
    with pytest.raises(SchemaError, match="column 'rating' must be int, found bigint"):
        aligned(spark.sql("SELECT 'a' review_id, 't' review_text, 5L rating"), declared("reviews"))


# Append once


@pytest.mark.parametrize(
    ("described", "free"), [("true", True), ("false", False)], ids=["by each commit", "in the log"]
)
def test_a_run_is_known_wherever_delta_keeps_its_transactions(
    spark: SparkSession,
    tmp_path: Path,
    jobs_run: Callable[[Callable[[], object]], int],
    described: str,
    free: bool,
) -> None:
    setting = "spark.databricks.delta.setTransactionsInCrc.writeOnCommit"
    spark.conf.set(setting, described)
    try:
        tables = Tables(spark, str(tmp_path))
        rows = figures(spark, 0.1)
        assert tables.append_once("evaluations", rows, "r1", fingerprint="a").new

        def again() -> None:
            assert not tables.append_once("evaluations", rows, "r1", fingerprint="a").new

        jvm: Any = spark._jvm
        jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
        assert (jobs_run(again) == 0) is free
        with pytest.raises(RunConflictError, match="run 'r1' has already appended other input"):
            tables.append_once("evaluations", rows, "r1", fingerprint="b")
    finally:
        spark.conf.unset(setting)


def test_a_run_appends_once_whatever_the_order_of_its_rows(
    spark: SparkSession, tables: Tables
) -> None:
    rows = figures(spark, 0.1, 0.2, 0.3)
    assert tables.append_once("evaluations", rows, "r1") == (0, True)
    again = rows.orderBy(F.desc("value")).repartition(3)
    assert tables.append_once("evaluations", again, "r1") == (0, False)
    assert tables.append_once("evaluations", rows, "r2") == (1, True)
    with pytest.raises(RunConflictError, match="run 'r1' has already appended other input"):
        tables.append_once("evaluations", figures(spark, 0.1, 0.2, 0.4), "r1")
    counts = tables.read("evaluations").groupBy("run_id").count().collect()
    assert {row[0]: row[1] for row in counts} == {"r1": 3, "r2": 3}
    assert tables.read("evaluations", version=0).count() == 3


def test_parts_of_a_run_and_empty_appends_are_told_apart(
    spark: SparkSession, tables: Tables
) -> None:
    none, one = figures(spark).limit(0), figures(spark, 0.5)
    assert tables.append_once("evaluations", none, "r", part="pre") == (0, True)
    assert tables.append_once("evaluations", one, "r", part="post") == (1, True)
    assert tables.append_once("evaluations", none, "r", part="pre") == (1, False)
    with pytest.raises(RunConflictError, match="'r/pre'"):
        tables.append_once("evaluations", one, "r", part="pre")


def test_a_known_fingerprint_spares_the_rows(spark: SparkSession, tables: Tables) -> None:
    tables.append_once("evaluations", figures(spark, 0.5), "r", fingerprint="input 1")
    broken = figures(spark, 0.5).withColumn("value", F.raise_error(F.lit("read")).cast("double"))
    assert not tables.append_once("evaluations", broken, "r", fingerprint="input 1").new
    with pytest.raises(RunConflictError):
        tables.append_once("evaluations", broken, "r", fingerprint="input 2")


def test_the_batches_of_a_stream_are_appended_in_order_each_once(
    spark: SparkSession, tables: Tables
) -> None:
    def append(batch: int, value: float) -> bool:
        rows = figures(spark, value)
        return tables.append_once("evaluations", rows, "stream", batch=batch).new

    assert append(0, 0.1)
    assert append(2, 0.3)  # batch 1 had no rows for this table
    assert not append(2, 0.3)
    with pytest.raises(RunConflictError, match="has already appended other input"):
        append(2, 0.4)
    with pytest.raises(RunConflictError, match="appended batch 2, and this is batch 1; nothing"):
        append(1, 0.2)
    assert tables.version("evaluations") == 1


def test_an_error_of_the_rows_themselves_is_not_blamed_on_the_table(
    spark: SparkSession, tables: Tables
) -> None:
    broken = figures(spark, 0.5).withColumn("value", F.raise_error(F.lit("mine")).cast("double"))
    with pytest.raises(Exception, match="mine") as caught:
        tables.append_once("evaluations", broken, "r", fingerprint="f")
    assert not isinstance(caught.value, TableError)


def test_rows_are_computed_once_and_leave_the_cache(spark: SparkSession, tables: Tables) -> None:
    count = spark.sparkContext.accumulator(0)
    before = cached_rdds(spark)

    def seen(value: float) -> float:
        count.add(1)
        return value

    counted = F.udf(seen, "double").asNondeterministic()
    rows = figures(spark, 0.1, 0.2, 0.3).withColumn("value", counted("value"))
    tables.append_once("evaluations", rows, "r")
    assert count.value == 3
    left = [n for i, n in cached_rdds(spark).items() if i not in before and "Delta" not in n]
    assert left == []


def test_the_digest_sees_values_nulls_copies_names_and_types(spark: SparkSession) -> None:
    def of(query: str) -> str:
        return digest(spark.sql(query))

    base = of("SELECT 'a' x, CAST(NULL AS STRING) y")
    others = [
        "SELECT CAST(NULL AS STRING) x, 'a' y",
        "SELECT 'b' x, CAST(NULL AS STRING) y",
        "SELECT 'a' x, '' y",
        "SELECT 'a' y, CAST(NULL AS STRING) x",
        "SELECT 'a' x, CAST(NULL AS STRING) y UNION ALL SELECT 'a', NULL",
        "SELECT 'a' x, CAST(NULL AS STRING) y LIMIT 0",
        "SELECT 'a' x, CAST(NULL AS INT) y",
        "SELECT 'a' x, map('k', 1) y",
    ]
    found = [of(query) for query in others]
    assert len({base, *found}) == 1 + len(others)
    assert base == of("SELECT 'a' x, CAST(NULL AS STRING) y")


@pytest.fixture
def others_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let another driver write between a writer's look at a table and its commit, once."""

    def come_first(other: Callable[[], object]) -> None:
        commit = jvm.delta_commit

        def late(*args: Any, **settings: Any) -> int | None:
            monkeypatch.setattr(jvm, "delta_commit", commit)
            other()
            return commit(*args, **settings)

        monkeypatch.setattr(jvm, "delta_commit", late)

    return come_first


def test_two_writers_that_make_one_table_both_write_their_rows(
    spark: SparkSession, tables: Tables, others_first: Any
) -> None:
    other = Tables(spark, str(Path(tables.location("evaluations")).parent))
    others_first(lambda: other.append_once("evaluations", figures(spark, 0.1), "r1"))
    assert tables.append_once("evaluations", figures(spark, 0.2), "r2") == (1, True)
    rows = tables.read("evaluations").select("run_id", "value").collect()
    assert sorted(map(tuple, rows)) == [("r1", 0.1), ("r2", 0.2)]


@pytest.mark.parametrize("new", [True, False], ids=["a new table", "a known table"])
def test_two_writers_under_one_run_write_once_and_refuse_other_input(
    spark: SparkSession, tables: Tables, others_first: Any, new: bool
) -> None:
    if not new:
        tables.append_once("evaluations", figures(spark, 0.9), "r0")

    def append(run: str, value: float, part: str) -> Any:
        return tables.append_once(
            "evaluations", figures(spark, value), run, part=part, fingerprint=str(value)
        )

    others_first(lambda: append("r", 0.1, "same"))
    assert not append("r", 0.1, "same").new
    others_first(lambda: append("r", 0.1, "other"))
    with pytest.raises(RunConflictError, match="run 'r/other' has already appended other input"):
        append("r", 0.2, "other")
    found = tables.read("evaluations").where("run_id = 'r'").select("value").collect()
    assert [row.value for row in found] == [0.1, 0.1]


def test_appends_of_two_runs_never_conflict(
    spark: SparkSession, tables: Tables, others_first: Any
) -> None:
    tables.append_once("evaluations", figures(spark, 0.1), "r0")
    computed = spark.sparkContext.accumulator(0)

    def seen(value: float) -> float:
        computed.add(1)
        return value

    counted = F.udf(seen, "double").asNondeterministic()
    rows = figures(spark, 0.3).withColumn("value", counted("value"))
    others_first(lambda: tables.append_once("evaluations", figures(spark, 0.2), "r1"))
    assert tables.append_once("evaluations", rows, "r2", fingerprint="f") == (2, True)
    assert computed.value == 1  # not written a second time
    assert tables.read("evaluations").count() == 3


def test_a_run_appends_to_several_tables_side_by_side(
    spark: SparkSession, tables: Tables, jobs_run: Callable[[Callable[[], object]], int]
) -> None:
    predicted = spark.createDataFrame([("m", "a", None, 1.0, None)], PREDICTIONS)
    rows = {"evaluations": figures(spark, 0.5), "predictions": predicted}
    with Run(tables, "r1", {}) as run:

        def append() -> None:
            done = run.append_all(rows, fingerprint=run.fingerprint)
            assert done == {"evaluations": (0, True), "predictions": (0, True)}

        assert jobs_run(append) >= len(rows)  # the threads belong to the caller's job group
        again = run.append_all(rows, fingerprint=run.fingerprint)
        assert [written.new for written in again.values()] == [False, False]
        broken = predicted.withColumn("prediction", F.lit(3.0))
        more = {"predictions": broken, "evaluations": figures(spark, 0.5)}
        with pytest.raises(TableError, match="constraint 'prediction_class'"):
            Run(tables, "r2", {}).append_all(more, fingerprint="f")
        assert run.append_all({}) == {}
    writes = {entry.table: entry.version for entry in last_rows(tables).head().writes}
    assert writes == {"evaluations": 0, "predictions": 0}
    assert tables.read("evaluations").count() == 2
    assert tables.read("predictions").count() == 1


# Merge


@pytest.mark.parametrize("new", [True, False], ids=["a new table", "a known table"])
def test_two_merges_at_once_leave_no_key_twice(
    spark: SparkSession, tables: Tables, others_first: Any, new: bool
) -> None:
    if not new:
        tables.merge("reviews", reviews(spark, review(review_id="z")), ["review_id"])
    first = reviews(spark, review(), review(review_id="b", rating=1))
    second = reviews(spark, review(rating=4), review(review_id="c"))
    others_first(lambda: tables.merge("reviews", first, ["review_id"]))
    assert tables.merge("reviews", second, ["review_id"]).new
    found = tables.read("reviews").where("review_id != 'z'").select("review_id", "rating").collect()
    assert sorted(map(tuple, found)) == [("a", 5), ("b", 1), ("c", 5)]
    version = tables.version("reviews")
    assert tables.merge("reviews", second, ["review_id"]) == (version, False)


def test_merge_inserts_what_is_new_and_updates_when_asked(
    spark: SparkSession, tables: Tables
) -> None:
    first = reviews(spark, review(), review(review_id="b", rating=1))
    second = reviews(spark, review(rating=4), review(review_id="c"))

    def ratings() -> dict[str, int]:
        return {row.review_id: row.rating for row in tables.read("reviews").collect()}

    assert tables.merge("reviews", first, ["review_id"]) == (0, True)
    tables.merge("reviews", second, ["review_id"])
    assert ratings() == {"a": 5, "b": 1, "c": 5}
    tables.merge("reviews", second, ["review_id"], update=True)
    assert ratings() == {"a": 4, "b": 1, "c": 5}
    with pytest.raises(TableError, match=r"'reviews'.*two rows have the same key"):
        tables.merge("reviews", reviews(spark, review(), review(title="x")), ["review_id"])
    assert ratings() == {"a": 4, "b": 1, "c": 5}


def test_merge_and_append_once_refuse_each_others_tables(
    spark: SparkSession, shared: Tables
) -> None:
    with pytest.raises(TableError, match="use append_once"):
        shared.merge("evaluations", figures(spark, 1.0), ["metric"])
    with pytest.raises(TableError, match="use merge"):
        shared.append_once("reviews", reviews(spark, review()), "r")
    with pytest.raises(SchemaError, match="key 'id' is not"):
        shared.merge("reviews", reviews(spark, review()), ["id"])


# Places


def test_a_table_of_the_catalog_works_alike(spark: SparkSession) -> None:
    tables = Tables(spark, database="tables_test")
    try:
        tables.check_writable()
        assert not tables.exists("evaluations")
        assert tables.append_once("evaluations", figures(spark, 0.5), "r") == (1, True)
        assert tables.append_once("evaluations", figures(spark, 0.5), "r") == (1, False)
        assert spark.table("tables_test.evaluations").count() == 1
        assert tables.read("evaluations", version=0).count() == 0
        with pytest.raises(TableError, match=r"tables_test.features\): .*no Delta table"):
            tables.read("features")
    finally:
        spark.sql("DROP DATABASE IF EXISTS tables_test CASCADE")


def test_a_folder_may_be_named_from_where_the_job_is_started(spark: SparkSession) -> None:
    # Java's own folder is the one in which it was started.
    jvm: Any = spark._jvm
    here = jvm.java.lang.System.getProperty("user.dir")
    name = f"tables-{uuid.uuid4().hex}"
    tables = Tables(spark, name)
    assert tables.location("reviews") == f"file:{here}/{name}/reviews"
    try:
        tables.create("evaluations")
        assert tables.read("evaluations").count() == 0
    finally:
        shutil.rmtree(Path(here) / name, ignore_errors=True)


def test_exactly_one_place_is_given(spark: SparkSession) -> None:
    for place in ({}, {"base": "/tmp/x", "database": "d"}, {"database": "d; drop"}):
        with pytest.raises(TableError, match=r"exactly one|not a database name"):
            Tables(spark, **place)


def test_a_place_that_cannot_be_written_is_told_before_any_work(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "tables", Path("/proc/tables")):
        with pytest.raises(TableError, match=f"{place}: cannot write there"):
            Tables(spark, str(place)).check_writable()


def test_the_probe_leaves_nothing(spark: SparkSession, tmp_path: Path) -> None:
    Tables(spark, str(tmp_path / "a" / "b")).check_writable()
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_what_is_no_table_or_another_one_is_told(spark: SparkSession, tables: Tables) -> None:
    with pytest.raises(TableError, match=r"'features' \(.*\): cannot read it: there is no Delta"):
        tables.read("features")
    folder = Path(tables.location("features"))
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("not a table")
    for act in (tables.read, tables.version, tables.create):
        with pytest.raises(TableError, match="'features'"):
            act("features")
    with pytest.raises(TableError, match=r"'features'.*the folder holds other files"):
        tables.append("features", spark.createDataFrame([], TABLES["features"].schema))
    spark.range(1).write.format("delta").save(tables.location("predictions"))
    wrong = "other columns: column 'run_id' must be string, found none"
    with pytest.raises(TableError, match=wrong):
        tables.create("predictions")


def test_a_missing_version_and_a_damaged_log_are_told(spark: SparkSession, tables: Tables) -> None:
    for run in ("r1", "r2", "r3"):
        tables.append_once("evaluations", figures(spark, 0.5), run, fingerprint="f")
    with pytest.raises(TableError, match=r"Cannot time travel.*version 9.*\[0, 2\]"):
        tables.read("evaluations", version=9)
    log = Path(tables.location("evaluations"), "_delta_log")
    for name in ("00000000000000000001.json", ".00000000000000000001.json.crc"):
        (log / name).unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    with pytest.raises(TableError, match=r"'evaluations'.*the log is damaged"):
        tables.read("evaluations").count()


def test_several_drivers_on_s3_are_warned_of(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Tables(spark, "s3a://bucket/tables")
    assert "spark.delta.logStore.s3a.impl is not set" in caplog.text


# Embeddings


@pytest.fixture
def counting(spark: SparkSession) -> Iterator[tuple[Callable[[DataFrame], DataFrame], Any]]:
    """A stand-in for a model: the text's length as its vector, and a count of texts embedded."""
    count = spark.sparkContext.accumulator(0)

    def length(text: str) -> list[float]:
        count.add(1)
        return [float(len(text))]

    udf = F.udf(length, "array<double>").asNondeterministic()
    return lambda df: df.withColumn("embedding", udf("text")), count


def test_no_text_is_embedded_twice_by_one_model(
    spark: SparkSession, tables: Tables, counting: Any
) -> None:
    embed, count = counting
    rows = spark.createDataFrame(
        [(1, "good"), (2, "bad"), (3, "good"), (4, None), (5, "")], "id int, text string"
    )
    first = embedded(tables, rows, "m1", embed, chunk=2)
    assert {row.id: row.embedding for row in first.rows.collect()} == {
        1: Vectors.dense(4.0),
        2: Vectors.dense(3.0),
        3: Vectors.dense(4.0),
        4: None,
        5: Vectors.dense(0.0),
    }
    assert (first.computed, count.value) == (3, 3)

    more = rows.union(spark.createDataFrame([(6, "better")], rows.schema))
    second = embedded(tables, more, "m1", embed)
    assert (second.computed, count.value) == (1, 4)
    third = embedded(tables, more, "m1", embed)
    assert (third.computed, third.version, count.value) == (0, second.version, 4)
    assert embedded(tables, rows, "m2", embed).computed == 3
    kept = tables.read("embeddings")
    assert kept.count() == kept.select("model", "text_hash").distinct().count() == 7


def test_a_text_that_two_drivers_embedded_at_once_is_read_once(
    spark: SparkSession, tables: Tables, counting: Any, others_first: Any
) -> None:
    embed, _ = counting
    rows = spark.createDataFrame([(1, "good"), (2, "bad")], "id int, text string")
    others_first(lambda: embedded(tables, rows, "m", embed))
    found = embedded(tables, rows, "m", embed)
    assert tables.read("embeddings").count() == 4
    for result in (found, embedded(tables, rows, "m", embed)):
        vectors = {row.id: row.embedding for row in result.rows.collect()}
        assert result.rows.count() == 2
        assert vectors == {1: Vectors.dense(4.0), 2: Vectors.dense(3.0)}


def test_without_any_text_no_table_of_embeddings_is_made(
    spark: SparkSession, tables: Tables, counting: Any
) -> None:
    rows = spark.createDataFrame([(1, None)], "id int, text string")
    with Run(tables, "r", {}) as run:
        found = run.embedded(rows, "m", counting[0])
    assert [tuple(row) for row in found.collect()] == [(1, None, None)]
    assert found.schema["embedding"].dataType == VectorUDT()
    assert not tables.exists("embeddings")


def test_embeddings_check_their_columns(spark: SparkSession, shared: Tables) -> None:
    rows = spark.createDataFrame([("good", 1)], "text string, n int")
    with pytest.raises(SchemaError, match="column 'body' is missing"):
        embedded(shared, rows, "m", lambda df: df, text="body")
    with pytest.raises(SchemaError, match="output column 'n' already exists"):
        embedded(shared, rows, "m", lambda df: df, output="n")
    with pytest.raises(SchemaError, match="'embedding' must be a vector or an array"):
        embedded(shared, rows, "m", lambda df: df.withColumn("embedding", F.lit("no")))


def test_the_text_hash_is_sha_256(spark: SparkSession) -> None:
    # FIPS 180-2, appendix B.1
    digest_of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert spark.range(1).select(text_hash(F.lit("abc"))).head()[0] == digest_of_abc


# Runs


def test_a_run_tells_what_it_read_and_wrote(spark: SparkSession, tables: Tables) -> None:
    tables.append_once("evaluations", figures(spark, 0.1), "r0")
    with Run(tables, "r1", {"seed": 7}, inputs="csv 1") as run:
        assert run.finished() is None
        before = run.read("evaluations")
        tables.append_once("evaluations", figures(spark, 0.9), "another")
        assert run.read("evaluations").count() == before.count() == 1
        run.append("evaluations", figures(spark, 0.2), fingerprint=run.fingerprint)
        assert run.read("evaluations").count() == 3
        run.set_model("/models/1", "abc")
    row = last_rows(tables).where("run_id = 'r1'").head()
    place = tables.location("evaluations")
    assert (row.status, row.error, row.config) == ("finished", None, '{"seed": 7}')
    assert row.reads == [("evaluations", place, 0), ("evaluations", place, 2)]
    assert row.writes == [("evaluations", place, 2)]
    assert (row.model_path, row.model_fingerprint) == ("/models/1", "abc")
    assert (row.spark_version, row.delta_version) == ("3.5.6", "3.3.2")
    assert row.code_digest == code_digest()
    assert row.started_at <= row.ended_at
    assert tables.read("evaluations", row.reads[0].version).count() == 1

    with Run(tables, "r1", {"seed": 7}, inputs="csv 1") as run:
        done = run.finished()
        assert (done.status, done.model_path, done.ended_at) == (
            "finished",
            "/models/1",
            row.ended_at,
        )
        again = run.append("evaluations", figures(spark, 0.2), fingerprint=run.fingerprint)
        assert not again.new
    for config, inputs in (({"seed": 8}, "csv 1"), ({"seed": 7}, "csv 2")):
        with pytest.raises(RunConflictError, match="run 'r1' was started before"):
            Run(tables, "r1", config, inputs=inputs).__enter__()
    assert tables.read("evaluations").count() == 3
    assert tables.read("runs").where("run_id = 'r1'").count() == 4


def test_a_run_that_fails_says_with_what_and_quotes_nothing(tables: Tables) -> None:
    with pytest.raises(KeyError), Run(tables, "r1", {}):
        raise KeyError("SECRET WORDS")
    row = last_rows(tables).head()
    assert (row.status, row.error) == ("failed", "KeyError")
    assert "SECRET" not in str(row)
