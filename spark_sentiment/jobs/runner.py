"""Run a job: its command line, its progress, and its exit code."""

import argparse
import errno
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from pyspark.sql import SparkSession

from spark_sentiment.core import jvm
from spark_sentiment.errors import GateError, SentimentError
from spark_sentiment.jobs import config
from spark_sentiment.jobs.config import Config, Reviews
from spark_sentiment.session import get_session

OK, CRASHED, REFUSED, GATE_BROKEN, LEFT_OVER, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""Exit codes: done; an unexpected error; input or configuration refused; a bias gate is broken and
all tables are written; a resource could not be deleted and the others were; stopped by the user."""

_GONE = {errno.EPIPE, errno.EIO}  # of a pipe without a reader, and of a terminal that has closed
_SAME_STOP = 0.5  # seconds; some programs that stop a job send it the signal twice
_READ_REVIEWS = {"train", "score"}
_BYTES = 360  # mean size of a row of the Women's E-Commerce Clothing Reviews

Main = Callable[[Config, SparkSession, "Steps"], None]


class Steps:
    """Prints progress on stderr: each step, its time and its number of rows.

    Examples
    --------
    >>> steps = Steps(quiet=True)
    >>> with steps("reading") as step:
    ...     step.rows = 1000
    >>> steps.seconds["reading"] < 60
    True
    """

    def __init__(self, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._quiet = quiet
        self._began = time.monotonic()

    @contextmanager
    def __call__(self, name: str) -> Iterator["Step"]:
        """Print the step `name`, such as "reading reviews", at its start and at its end."""
        began = time.monotonic()
        step = Step()
        self.say(f"{name} ...")
        yield step
        took = time.monotonic() - began
        self.seconds[name] = took
        rows = "" if step.rows is None else f", {step.rows:,} rows ({step.rows / took:,.0f} rows/s)"
        self.say(f"{name}: {took:.1f} s{rows}")

    def say(self, line: str) -> None:
        """Print `line` with the number of seconds since the job began in front of it."""
        if not self._quiet:
            _print(sys.stderr, f"[{time.monotonic() - self._began:6.1f} s] {line}")


class Step:
    """Result of a step: `rows`, if the step processes rows."""

    rows: int | None = None


def show(text: str) -> None:
    """Print a result on stdout; progress goes to stderr."""
    _print(sys.stdout, text)


def _print(stream: TextIO, text: str) -> None:
    """Print `text`. If the reader of `stream` has gone, discard this and all later text.

    A reader such as ``head -1`` ends after its first line. The job goes on, because its result is
    in the tables, and a job that deletes resources must delete all of them.
    """
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except OSError as error:
        if error.errno not in _GONE:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def run(
    name: str,
    main: Main,
    arguments: Sequence[str] | None = None,
    *,
    options: Mapping[str, Main] | None = None,
) -> int:
    """Run the job `name`: parse the command line, load the configuration, call `main`.

    Parameters
    ----------
    name : str
        Name of the job, for Spark's history and messages.
    main : callable
        Function of the configuration, the session and the `Steps`.
    arguments : sequence of str, optional
        The command line, without the program; by default that of the process.
    options : dict of str to callable, optional
        Options of the command line, such as ``--inspect``, each with the function that it calls in
        place of `main`.

    Returns
    -------
    int
        Exit code: 0 done; 1 a fault, with its traceback; 2 input or configuration is refused, with
        a line that says what to do; 3 a bias gate is broken (all tables are written); 130 stopped.
    """
    parser = argparse.ArgumentParser(prog=f"jobs/{name}.py", description=main.__doc__)
    parser.add_argument("conf", help="configuration file, such as conf/local.yaml")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override one key of the file, such as split.test=0.3; can be given more than once",
    )
    parser.set_defaults(main=main)
    for option, other in (options or {}).items():
        parser.add_argument(
            option, action="store_const", dest="main", const=other, help=other.__doc__
        )
    given = parser.parse_args(arguments)

    def work() -> int:
        conf = config.load(given.conf, given.settings)
        steps = Steps()
        reads, endless = name in _READ_REVIEWS, conf.score.stream == "continuous"
        with steps("starting Spark"):
            spark = get_session(
                f"spark_sentiment {name}",
                conf.spark.master,
                conf.spark.conf,
                conf.spark.packages,
                sagemaker=conf.trainer == "sagemaker",
                expected_rows=expected_rows(conf.reviews) if reads and not endless else None,
            )
        given.main(conf, spark, steps)
        return OK

    return exit_code(name, work, "tables are readable at their last version")


def expected_rows(reviews: Reviews) -> int | None:
    """Return an estimate of the number of reviews, made before Spark starts.

    Returns
    -------
    int or None
        The estimate for generated reviews and for CSV and JSON files on this machine; None for
        other formats and places, and for more than 100,000 reviews.

    Examples
    --------
    >>> expected_rows(config.load("conf/local.yaml").reviews)
    300
    """
    if reviews.path is None:
        return reviews.generated.rows
    paths = [Path(path) for path in reviews.paths]
    if reviews.format not in ("csv", "tsv", "json") or not all(path.exists() for path in paths):
        return None  # for example s3a://, or a pattern
    rows = 0
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            rows += file.stat().st_size // _BYTES
            if rows > 100_000:
                return None
    return rows


def exit_code(name: str, work: Callable[[], int], stopped: str) -> int:
    """Call `work`; return its exit code, or the exit code of the error that it raises.

    Parameters
    ----------
    name : str
        Name of the job, for messages.
    work : callable
        Function that does the work of the job and returns an exit code.
    stopped : str
        Message about the state that is left if the user stops the job.

    Examples
    --------
    >>> exit_code("example", lambda: OK, "nothing was changed")
    0
    """
    with _Stop(name, stopped) as stop:
        try:
            return work()
        except GateError as error:
            code, told = GATE_BROKEN, f"{name}: bias gate broken: {error}"
        except SentimentError as error:
            notes = "\n".join([str(error), *getattr(error, "__notes__", ())])
            code, told = REFUSED, f"{name}: {type(error).__name__}: {notes}"
        except KeyboardInterrupt:
            code, told = INTERRUPTED, stop.message
        except Exception:
            code, told = CRASHED, traceback.format_exc().rstrip()
        # A job that was cancelled can end in any error.
        if stop.asked is not None:
            code, told = INTERRUPTED, stop.message
        _print(sys.stderr, told)
        return code


class _Stop:
    """Handles the signals that stop a job: Ctrl-C (SIGINT), SIGTERM and SIGHUP.

    The first signal cancels Spark's jobs and raises KeyboardInterrupt in the main thread, so that
    the run is recorded as failed and paid resources are deleted. The second signal ends the process
    at once. Python handles signals only in the main thread; in another thread, this does nothing.
    """

    def __init__(self, name: str, stopped: str) -> None:
        self.message = f"{name}: stopped; {stopped}"
        self.asked: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "_Stop":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = signal.getsignal(number)
                if number == signal.SIGHUP and before == signal.SIG_IGN:
                    continue  # under nohup, a job goes on after its terminal has closed
                self._before[number] = before
                signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None:
            self.asked = time.monotonic()
            jvm.stop_all_jobs()
            raise KeyboardInterrupt
        if time.monotonic() - self.asked > _SAME_STOP:
            os._exit(INTERRUPTED)
