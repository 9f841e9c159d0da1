# ruff: noqa: T201 - a benchmark prints its table
"""How the jobs grow with the rows: the time of each step from 100,000 to 1,000,000 reviews.

    uv run tests/bench/bench_growth.py --csv CSV [--rows 100000,300000,1000000]

CSV is the Women's E-Commerce Clothing Reviews. Larger data is made from it: each review gets the
first half of the words of its own text and the second half of another's, so that the texts are
different and as long as real ones, with about as many different words. The columns, shares of
ratings and missing texts stay as they are. The data is eight files, which Spark reads in parallel.

The training job learns from tf-idf alone (``features=[tfidf]``): embedding takes a time in
proportion to the texts, which bench_embedding.py measures. Then the scoring job scores the same
reviews with the model. The table gives the seconds of each step, and the growth of the wall time
over the growth of the rows. Steps run side by side, so their sum is more than the wall time.
"""

import argparse
import csv
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench_job import (
    ROOT,
    Measured,
    clean_environment,
    machine,
    measured,
    print_table,
    steps_of,
    wait_for_class_archive,
)

FILES = 8
TEXT = "Review Text"


def made(reviews: Sequence[dict[str, str]], rows: int) -> Iterator[dict[str, str]]:
    """Yield `rows` reviews, each with the second half of the text of another review."""
    chance = random.Random(7)
    texts = [review[TEXT] for review in reviews if review[TEXT]]
    for place in range(rows):
        review = reviews[place % len(reviews)]
        if not review[TEXT] or place < len(reviews):
            yield review
            continue
        own, other = review[TEXT].split(), chance.choice(texts).split()
        text = " ".join([*own[: len(own) // 2], *other[len(other) // 2 :]])
        yield review | {TEXT: text}


def write(source: Path, rows: int, folder: Path) -> float:
    """Write `rows` reviews as CSV files into `folder`; return the mean length of a text."""
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        reviews, names = list(reader), list(reader.fieldnames or ())
    folder.mkdir()
    opened = [(folder / f"{n}.csv").open("w", encoding="utf-8", newline="") for n in range(FILES)]
    length = 0
    try:
        writers = [csv.DictWriter(file, names) for file in opened]
        for writer in writers:
            writer.writeheader()
        for place, review in enumerate(made(reviews, rows)):
            # The first column numbers the rows.
            writers[place % FILES].writerow(review | {names[0]: str(place)})
            length += len(review[TEXT])
    finally:
        for file in opened:
            file.close()
    return length / rows


def run(job: str, base: Path, *settings: str) -> Measured:
    given = [f"--set={setting}" for setting in (f"output.base={base}", *settings)]
    command = [sys.executable, f"jobs/{job}.py", "conf/local.yaml", *given]
    return measured(command, ROOT, clean_environment())


def main() -> None:
    """Run both jobs for each number of rows, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--rows", default="100000,300000,1000000")
    wanted = parser.parse_args()
    sizes = [int(part) for part in wanted.rows.split(",")]
    found: dict[str, list[Measured]] = {"train": [], "score": []}
    with tempfile.TemporaryDirectory(prefix="bench_growth-") as temporary:
        work = Path(temporary)
        print("warming up", flush=True)
        run("train", work / "warm", "reviews.generated.rows=100")
        wait_for_class_archive()
        for rows in sizes:
            data, base = work / f"reviews-{rows}", work / f"out-{rows}"
            mean = write(wanted.csv, rows, data)
            print(f"{rows:,} reviews of {mean:.0f} characters in the mean", flush=True)
            common = [f"reviews.path={data}", "features=[tfidf]"]
            for job in found:
                found[job].append(run(job, base, *common))
                last = found[job][-1]
                print(f"  {job}: {last.wall:.1f} s, memory {last.memory:,.0f} MiB", flush=True)
            shutil.rmtree(data)
            shutil.rmtree(base)
    about = machine()
    print(f"\n{about['processor']}, {about['cores']} cores\n")
    for job, runs in found.items():
        steps = [steps_of(one.stderr)[0] for one in runs]
        names = dict.fromkeys(name for each in steps for name in each)
        lines = [[name, *(f"{each.get(name, 0.0):.1f}" for each in steps)] for name in names]
        lines.append(["**wall**", *(f"{one.wall:.1f}" for one in runs)])
        lines.append(["memory, MiB", *(f"{one.memory:,.0f}" for one in runs)])
        grown = [
            "" if not place else f"{(one.wall / runs[0].wall) / (sizes[place] / sizes[0]):.2f}"
            for place, one in enumerate(runs)
        ]
        lines.append(["time grown / rows grown", *grown])
        print_table([f"{job}: step, s", *(f"{rows:,}" for rows in sizes)], lines)
        print()


if __name__ == "__main__":
    main()
