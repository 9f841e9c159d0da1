"""Draw docs/overview.svg: from reviews to tables, and how the default classifier does.

    uv run docs/draw_overview.py

The counts are those of the job's summary in README. The picture brings its own light background,
so that it can be read on a dark page too.
"""

from pathlib import Path

CLASSES = ("negative", "neutral", "positive")
COUNTS = ((279, 150, 21), (137, 300, 102), (24, 229, 3250))
"""Held-out reviews by true class (rows) and predicted class (columns)."""

STEPS = (
    (("reviews", "CSV, Parquet or Delta"), ("reviews", "reviews_rejected")),
    (("TextCleaner", "RatingLabeler"), ("features",)),
    (("BiasReport", "before training"), ("bias_metrics",)),
    (("BertEmbeddings", "MiniLM or your own"), ("embeddings",)),
    (("classifier", "or SageMakerStage"), ("PipelineModel",)),
    (("evaluation", "bias after training"), ("predictions", "evaluations", "bias_metrics")),
)
"""What runs, one line on it, and what it leaves."""

WIDTH, HEIGHT = 1000, 520
INK, QUIET, LINE = "#1f2328", "#59636e", "#8c959f"
BLUE, PALE_BLUE, YELLOW, PALE_YELLOW = "#0969da", "#ddf4ff", "#9a6700", "#fff8c5"


def text(x: float, y: float, words: str, size: int = 13, **style: str) -> str:
    """Return a line of text, centred unless `style` says otherwise."""
    given = {
        "fill": INK,
        "text-anchor": "middle",
        **{k.replace("_", "-"): v for k, v in style.items()},
    }
    attributes = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" {attributes}>{words}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, line: str) -> str:
    """Return a rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" '
        f'fill="{fill}" stroke="{line}"/>'
    )


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a line that ends in an arrow's head."""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{LINE}" '
        'stroke-width="1.5" marker-end="url(#head)"/>'
    )


def flow() -> list[str]:
    """Draw the steps of the main job, each above the tables that it writes."""
    width, gap, left = 142, 22, 19
    parts = []
    for place, ((name, line), written) in enumerate(STEPS):
        x = left + place * (width + gap)
        middle = x + width / 2
        fill, stroke = ("#f6f8fa", LINE) if place == 0 else (PALE_BLUE, BLUE)
        parts += [
            box(x, 56, width, 58, fill, stroke),
            text(middle, 80, name, 14, font_weight="600"),
            text(
                middle, 100, line, 12, fill=QUIET if line[0].islower() or place in (0, 3) else INK
            ),
            arrow(middle, 114, middle, 144),
        ]
        if place:
            parts.append(arrow(x - gap, 85, x - 2, 85))
        for row, table in enumerate(written):
            y = 148 + row * 28
            parts += [
                box(x, y, width, 24, PALE_YELLOW, YELLOW),
                text(middle, y + 16.5, table, 12, font_family="ui-monospace, monospace"),
            ]
    note = "runs: which versions of all tables, which configuration and code made which model"
    wide = len(STEPS) * (width + gap) - gap
    parts += [
        box(left, 240, wide, 24, PALE_YELLOW, YELLOW),
        text(left + wide / 2, 256.5, note, 12),
    ]
    return parts


def matrix(x: float, y: float) -> list[str]:
    """Draw the confusion matrix; a cell is as dark as its share of the row."""
    width, height = 92, 44
    parts = [
        text(x + 1.5 * width, y - 24, "predicted", 12, fill=QUIET),
        text(x - 8, y - 7, "true", 12, text_anchor="end", fill=QUIET),
    ]
    for row, (name, counts) in enumerate(zip(CLASSES, COUNTS, strict=True)):
        at = y + row * height
        parts.append(text(x + (row + 0.5) * width, y - 7, name, 12))
        parts.append(text(x - 8, at + 27, name, 12, text_anchor="end"))
        for column, count in enumerate(counts):
            share = count / sum(counts)
            parts += [
                f'<rect x="{x + column * width:g}" y="{at:g}" width="{width - 2}" '
                f'height="{height - 2}" fill="{BLUE}" fill-opacity="{0.06 + 0.8 * share:.2f}"/>',
                text(
                    x + (column + 0.5) * width - 1,
                    at + 20,
                    f"{count:,}",
                    13,
                    fill="#ffffff" if share > 0.7 else INK,
                ),
                text(
                    x + (column + 0.5) * width - 1,
                    at + 35,
                    f"{share:.0%}",
                    11,
                    fill="#ffffff" if share > 0.7 else QUIET,
                ),
            ]
    return parts


def scores(x: float, y: float) -> list[str]:
    """Draw F1 of each class as a bar, with precision and recall beside it."""
    length, parts = 230, []
    for row, name in enumerate(CLASSES):
        right = COUNTS[row][row]
        precision = right / sum(counts[row] for counts in COUNTS)
        recall = right / sum(COUNTS[row])
        f1 = 2 * precision * recall / (precision + recall)
        at = y + row * 44
        parts += [
            text(x - 8, at + 27, name, 12, text_anchor="end"),
            f'<rect x="{x}" y="{at + 9}" width="{length}" height="24" fill="#eaeef2"/>',
            f'<rect x="{x}" y="{at + 9}" width="{length * f1:.1f}" height="24" fill="{BLUE}"/>',
            text(x + 8, at + 26, f"F1 {f1:.3f}", 13, text_anchor="start", fill="#ffffff"),
            text(
                x + length + 10,
                at + 26,
                f"precision {precision:.3f}, recall {recall:.3f}",
                12,
                text_anchor="start",
                fill=QUIET,
            ),
        ]
    return parts


def drawing() -> str:
    """Return the whole picture."""
    rows = sum(map(sum, COUNTS))
    accuracy = sum(COUNTS[i][i] for i in range(3)) / rows
    heading = {"text_anchor": "start", "font_weight": "600"}
    quality = (
        f"Held-out part of the Women's E-Commerce Clothing Reviews: {rows:,} rows, "
        f"accuracy {accuracy:.3f}"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-labelledby="title" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        '<title id="title">Reviews pass through the stages of one job into Delta tables; below, '
        "how the default classifier does on held-out reviews</title>",
        f'<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{LINE}"/></marker></defs>',
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="10" fill="#ffffff" '
        'stroke="#d0d7de"/>',
        text(19, 34, "jobs/train.py: stages, and the Delta tables that they leave", 15, **heading),
        *flow(),
        text(19, 308, quality, 15, **heading),
        *matrix(96, 364),
        *scores(520, 364),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("overview.svg").write_text(drawing())
