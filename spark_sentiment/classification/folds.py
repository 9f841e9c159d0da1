"""Fit several classifiers without each fold in turn, with few passes over the rows.

MLlib's fits work for tables of any size: each iteration starts a Spark job. If the rows are few
enough for one Python worker, a single job fits `Logistic` and `Bayes` learners for all folds at
once. Other learners, and larger tables, use the ``fit`` of the learner.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import numpy as np
from pyspark import inheritable_thread_target
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_sentiment.classification.bayes import Bayes
from spark_sentiment.classification.logistic import Logistic
from spark_sentiment.classification.matrices import MAX_ROWS, Floats, read_rows
from spark_sentiment.core import (
    build_logistic_model,
    build_naive_bayes_model,
    optional,
    quoted,
)

logger = logging.getLogger(__name__)

_SOLVED = "learner int, problem int, matrix binary, vector binary"


def fit_folds(
    learners: Sequence[Any],
    data: DataFrame,
    rows: int,
    foldCol: str | None = None,
    folds: int = 0,
    threads: int = 1,
) -> list[list[Any]]:
    """Fit each learner without each fold in turn, and on all rows.

    Parameters
    ----------
    learners : sequence of Estimator
        Classifiers.
    data : DataFrame
        Columns of the learners, and `foldCol`. It may be read often, so cache it first.
    rows : int
        Number of rows of `data`.
    foldCol : str, optional
        Integer column, 0 to ``folds - 1``; not read without folds.
    folds : int
        Number of folds.
    threads : int
        Number of fits at the same time.

    Returns
    -------
    list of list of Model
        An entry for each fold, and a last one for all rows; an entry has a model for each learner.
    """
    found: dict[int, list[Any]] = {}

    def fit_at_once(members: dict[int, Any]) -> None:
        solved = _solve(members, learners[min(members)], data, foldCol, folds)
        for i, models in solved.items():
            logistic = isinstance(members[i], Logistic)
            build: Any = build_logistic_model if logistic else build_naive_bayes_model
            found[i] = [build(learners[i], *models[place]) for place in range(folds + 1)]
            logger.info("%s fitted for all folds", learners[i].uid)

    def fit_alone(task: tuple[int, DataFrame]) -> Any:
        i, part = task
        model = learners[i].fit(part)
        logger.info("%s fitted", learners[i].uid)
        return model

    if rows <= MAX_ROWS:
        _run(fit_at_once, _groups(learners), threads)
    parts = [data.where(F.col(str(foldCol)) != fold) for fold in range(folds)]
    tasks = [(i, part) for part in [*parts, data] for i in range(len(learners)) if i not in found]
    for (i, _), model in zip(tasks, _run(fit_alone, tasks, threads), strict=True):
        found.setdefault(i, []).append(model)
    return [[found[i][place] for i in range(len(learners))] for place in range(folds + 1)]


def _groups(learners: Sequence[Any]) -> list[dict[int, Logistic | Bayes]]:
    """Return the learners that a single job can fit, by their number, grouped by columns."""
    groups: dict[Any, dict[int, Logistic | Bayes]] = {}
    for i, learner in enumerate(learners):
        task = Logistic.of(learner) or Bayes.of(learner)
        if task is not None:
            groups.setdefault(_columns(learner), {})[i] = task
    return list(groups.values())


def _columns(learner: Any) -> tuple[str, str, str | None]:
    weight = optional(learner, learner.weightCol) or None
    return learner.getFeaturesCol(), learner.getLabelCol(), weight


def _solve(
    members: dict[int, Logistic | Bayes],
    learner: Any,
    data: DataFrame,
    foldCol: str | None,
    folds: int,
) -> dict[int, dict[int, tuple[Floats, Floats]]]:
    """Solve all problems of `members` in one task; the result omits members that it cannot solve.

    It does not report invalid rows: MLlib's own fit then runs, and raises the error.
    """
    features, label, weight = _columns(learner)
    columns = data.select(
        quoted(features).alias("x"),
        quoted(label).cast("double").alias("label"),
        (quoted(str(foldCol)) if folds else F.lit(-1)).cast("int").alias("fold"),
        (F.lit(1.0) if weight is None else quoted(weight)).cast("double").alias("weight"),
    )

    def work(batches: Iterable[Any]) -> Iterable[Any]:
        import pyarrow as pa  # type: ignore[import-untyped]

        rows = read_rows(batches)
        for i, member in members.items():
            solved = None if rows is None else member.solve(rows, folds)
            for problem, (matrix, vector) in enumerate(solved or []):
                cells = [matrix.tobytes(), vector.tobytes()]
                binary = [pa.array([cell], pa.binary()) for cell in cells]
                numbers = [pa.array([number], pa.int32()) for number in (i, problem)]
                names = ["learner", "problem", "matrix", "vector"]
                yield pa.RecordBatch.from_arrays([*numbers, *binary], names=names)

    solved: dict[int, dict[int, tuple[Floats, Floats]]] = {}
    for i, problem, matrix, vector in columns.coalesce(1).mapInArrow(work, _SOLVED).collect():
        ends = np.frombuffer(bytes(vector))
        shaped = np.frombuffer(bytes(matrix)).reshape(len(ends), -1)
        solved.setdefault(i, {})[problem] = shaped, ends
    return solved


def _run(work: Callable[[Any], Any], items: Sequence[Any], threads: int) -> list[Any]:
    """Call `work` with each item in `threads` threads; return the results in order."""
    if threads == 1 or len(items) < 2:
        return [work(item) for item in items]
    with ThreadPool(min(threads, len(items))) as pool:
        return pool.map(inheritable_thread_target(work), items, chunksize=1)
