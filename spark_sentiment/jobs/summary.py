"""The summary that a job prints at its end, as plain text."""

from collections.abc import Mapping, Sequence

from spark_sentiment.bias import ReportRow
from spark_sentiment.classification import Confusion


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format `rows` under `head`; numbers are right-aligned.

    Examples
    --------
    >>> print(table(["class", "rows"], [["negative", 1200], ["neutral", 7]]))
    class      rows
    negative  1,200
    neutral       7
    """
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    right = [
        all(isinstance(row[i], int | float | None) for row in rows) and bool(rows)
        for i in range(len(head))
    ]
    lines = [
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(row, widths, right, strict=True)
        )
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def intake(read: int, rejected: Mapping[str, int]) -> str:
    """Return the number of rows read and used, and of rejected rows by reason."""
    out = sum(rejected.values())
    line = f"Rows: {read:,} read, {read - out:,} used, {out:,} rejected"
    reasons = [f"  {n:,} {reason}" for reason, n in sorted(rejected.items(), key=lambda x: -x[1])]
    return "\n".join([line, *reasons])


def balance(names: Sequence[str], counts: Sequence[int]) -> str:
    """Return a table of the rows of each class that has any.

    Examples
    --------
    >>> print(balance(["negative", "neutral", "positive"], [1, 0, 3]))
    class     rows  share
    negative     1  0.250
    positive     3  0.750
    """
    whole = sum(counts)
    rows = [[name, n, n / whole] for name, n in zip(names, counts, strict=True) if n]
    return table(["class", "rows", "share"], rows)


def evaluation(matrix: Confusion) -> str:
    """Return accuracy, macro-F1, the figures of each class, and the confusion matrix.

    A class that occurs neither as a label nor as a prediction is left out.
    """
    there = [i for i in range(len(matrix.names)) if matrix.support(i) or matrix.predicted(i)]
    names = [matrix.names[i] for i in there]
    per_class = [
        [name, matrix.precision(i), matrix.recall(i), matrix.f1(i), matrix.support(i)]
        for i, name in zip(there, names, strict=True)
    ]
    cross = [
        [name, *(matrix.counts[i][j] for j in there)] for i, name in zip(there, names, strict=True)
    ]
    return "\n".join(
        [
            f"Accuracy {_cell(matrix.accuracy)}, macro-F1 {_cell(matrix.macro_f1)}"
            f" on {matrix.rows:,} held-out rows",
            "",
            table(["class", "precision", "recall", "F1", "rows"], per_class),
            "",
            table(["true \\ predicted", *names], cross),
        ]
    )


def bias(rows: Sequence[ReportRow], names: Sequence[str] = (), most: int = 10) -> str:
    """List the bias metrics whose 95 % interval excludes 0, those furthest from 0 first.

    Parameters
    ----------
    rows : sequence of ReportRow
        A bias report.
    names : sequence of str
        Names of the classes 0, 1, 2 and so on. A class without a name is shown as the report has
        it.
    most : int, default 10
        Largest number of metrics in the list.

    Examples
    --------
    >>> row = ReportRow("pre", "age", "> 50", "1.0", "DPL", 0.1, 0.02, 0.2, 60, 40, None)
    >>> print(bias([row], ["stays", "leaves"]).splitlines()[1])
    pre    DPL     age    > 50   all others     leaves  0.100  +0.020 to +0.200
    """
    if not rows:
        return "Bias: not measured."
    # The list holds differences of proportions. CI compares group sizes, and DI is a ratio.
    ends = [
        (min(abs(row.low), abs(row.high)), row.low > 0 or row.high < 0, row)
        for row in rows
        if row.low is not None and row.high is not None and row.metric not in ("CI", "DI")
    ]
    clear = [row for _, excludes_0, row in sorted(ends, key=lambda end: -end[0]) if excludes_0]
    if not clear:
        return f"No difference between groups is clear of 0 at 95 % ({len(ends):,} intervals)."
    shown = [
        [
            row.phase,
            row.metric,
            row.facet,
            *_groups(row.facet_value or ""),
            _class(row.label_class, names),
            row.value,
            f"{row.low:+.3f} to {row.high:+.3f}",
        ]
        for row in clear[:most]
    ]
    groups = ["facet", "group", "compared with"]
    head = ["phase", "metric", *groups, "class", "value", "95 % interval"]
    more = len(clear) - len(shown)
    lines = [
        table(head, shown),
        *([f"... and {more:,} more; all are in bias_metrics"] if more else []),
        "",
        f"{len(clear):,} of {len(ends):,} intervals exclude 0. They are not corrected for the "
        "number of comparisons:",
        "if no group differs, about 1 interval in 20 excludes 0 by chance.",
    ]
    return "\n".join(lines)


def tables(location: str) -> str:
    """Return a line with the place of the tables: a folder or a database."""
    return f"Tables: {location}"


def _groups(facet_value: str) -> tuple[str, str]:
    """Return the two sides of a comparison; the report writes 'd' or 'd vs a'."""
    group, _, other = facet_value.partition(" vs ")
    return group, other or "all others"


def _class(label_class: str | None, names: Sequence[str]) -> str:
    """Return the names of the positive classes of a report row."""
    if label_class is None:
        return "all"
    known = {f"{number}.0": name for number, name in enumerate(names)}
    return ", ".join(known.get(part, part) for part in label_class.split(", "))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
