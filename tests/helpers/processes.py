"""A job as a process of its own, which a test reads, stops and kills."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from helpers.readme import ROOT

DEADLINE = 240  # seconds for a job to reach a step on a busy machine


class Job:
    """A job that runs, and what it has said on stderr."""

    def __init__(self, name: str, *settings: str) -> None:
        command = [sys.executable, f"jobs/{name}.py", "conf/local.yaml"]
        command += [word for setting in settings for word in ("--set", setting)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stderr is not None
        self._told: TextIO = self.process.stderr
        self.seen: list[str] = []

    def wait_for(self, part: str) -> None:
        """Read what the job says until a line has `part`."""
        for line in self._told:
            self.seen.append(line)
            if part in line:
                return
        raise AssertionError("".join(self.seen))

    def send(self, number: int) -> tuple[int, list[str]]:
        """Send a signal to the job and all its processes, as a terminal does.

        Return the exit code, and the lines that the job says after the signal.
        """
        os.killpg(self.process.pid, number)
        told = self._told.read().splitlines()
        return self.process.wait(), told

    def end(self) -> int:
        """Wait for the end of the job; return the exit code."""
        self.seen += self._told.readlines()
        return self.process.wait()


@contextmanager
def running_job(name: str, *settings: str) -> Iterator[Job]:
    """Start the job `name`; kill it at the end of the block, or after `DEADLINE`."""
    job = Job(name, *settings)
    limit = threading.Timer(DEADLINE, os.killpg, (job.process.pid, signal.SIGKILL))
    limit.start()
    try:
        yield job
    finally:
        limit.cancel()
        with suppress(ProcessLookupError):
            os.killpg(job.process.pid, signal.SIGKILL)
        job.process.wait()
