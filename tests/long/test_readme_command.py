"""README's first command, as it stands there but for the folder that it writes to."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path

import pytest
from helpers.readme import ROOT, run_command
from pyspark.sql import SparkSession

from spark_sentiment.jobs import runner


@pytest.mark.long
def test_the_command_trains_a_model_and_prints_a_summary(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job finds the tests' session: test_killed starts jobs in a JVM of their own."""
    program, *words = run_command()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [program, *words, "--set", f"output.base={tmp_path}/out"])
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        runpy.run_path(program, run_name="__main__")
    assert ended.value.code == runner.OK
    found = re.search(r"Accuracy \S+, macro-F1 (\S+) on (\d+) held-out rows", said.getvalue())
    by_class = re.findall(r"^\w+ +\S+ +\S+ +\S+ +(\d+)$", said.getvalue(), re.MULTILINE)
    assert found is not None
    assert sum(map(int, by_class)) == int(found[2])
    share = max(map(int, by_class)) / int(found[2])
    always_the_most_frequent = 2 * share / (1 + share) / 3  # its F1, over three classes
    assert float(found[1]) > always_the_most_frequent
    assert (tmp_path / "out" / "models").is_dir()
