"""What a job prints at its end: plain text that can be read, or pasted into a ticket."""

from collections.abc import Mapping, Sequence

from spark_sentiment.bias import ReportRow
from spark_sentiment.classification import Confusion


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out `rows` under `head`, numbers to the right.

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
    """Say how many rows came in, and why some were rejected."""
    out = sum(rejected.values())
    line = f"Rows: {read:,} read, {read - out:,} used, {out:,} rejected"
    reasons = [f"  {n:,} {reason}" for reason, n in sorted(rejected.items(), key=lambda x: -x[1])]
    return "\n".join([line, *reasons])


def balance(names: Sequence[str], counts: Sequence[int]) -> str:
    """Show how many rows each class has."""
    whole = sum(counts)
    rows = [[name, n, n / whole if whole else None] for name, n in zip(names, counts, strict=True)]
    return table(["class", "rows", "share"], rows)


def evaluation(matrix: Confusion) -> str:
    """Show accuracy, macro-F1, the figures of each class, and the confusion matrix."""
    classes = range(len(matrix.names))
    per_class = [
        [name, matrix.precision(i), matrix.recall(i), matrix.f1(i), matrix.support(i)]
        for i, name in enumerate(matrix.names)
    ]
    cross = [[name, *(matrix.counts[i][j] for j in classes)] for i, name in enumerate(matrix.names)]
    return "\n".join(
        [
            f"Accuracy {_cell(matrix.accuracy)}, macro-F1 {_cell(matrix.macro_f1)}"
            f" on {matrix.rows:,} held-out rows",
            "",
            table(["class", "precision", "recall", "F1", "rows"], per_class),
            "",
            table(["true \\ predicted", *matrix.names], cross),
        ]
    )


def bias(rows: Sequence[ReportRow], most: int = 10) -> str:
    """Show the bias metrics that stand out: those whose interval is clear of 0, largest first.

    Parameters
    ----------
    rows : sequence of ReportRow
        A bias report.
    most : int, default 10
        How many to show.
    """
    # CI compares sizes and DI is a ratio: neither stands beside differences of proportions.
    ends = [
        (min(abs(row.low), abs(row.high)), row)
        for row in rows
        if row.low is not None and row.high is not None and row.metric not in ("CI", "DI")
        if row.low > 0 or row.high < 0
    ]
    clear = [row for _, row in sorted(ends, key=lambda end: -end[0])]
    if not clear:
        return "No difference between facets is clear of 0 at 95 %."
    shown = [
        [
            row.phase,
            row.metric,
            row.facet,
            row.facet_value,
            "all" if row.label_class is None else row.label_class,
            row.value,
            f"{row.low:+.3f} to {row.high:+.3f}",
        ]
        for row in clear[:most]
    ]
    head = ["phase", "metric", "facet", "group d", "class", "value", "95 % interval"]
    more = len(clear) - len(shown)
    tail = f"\n... and {more:,} more; all are in bias_metrics" if more > 0 else ""
    return table(head, shown) + tail


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
