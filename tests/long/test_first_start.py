"""Processes that start Spark at the same time on a machine that has none of its jars."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

START = """
from spark_sentiment.session import get_session
print("ROWS", get_session("first start", "local[1]").range(3).count())
"""


@pytest.mark.long
@pytest.mark.jars
def test_two_processes_that_both_lack_the_jars_both_start(tmp_path: Path) -> None:
    # Python and Java each ask in their own way where the user's folder is.
    clean = {**os.environ, "HOME": str(tmp_path), "JAVA_TOOL_OPTIONS": f"-Duser.home={tmp_path}"}
    command = [sys.executable, "-c", START]
    both = [
        subprocess.Popen(
            command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=300) for process in both]
    if all("unresolved dependency" in err or "UNRESOLVED" in err for _, err in ended):
        pytest.skip("Delta's jars cannot be had from Maven Central")
    assert (tmp_path / ".ivy2" / "jars").is_dir()
    assert [process.returncode for process in both] == [0, 0], [err[-2000:] for _, err in ended]
    assert all("ROWS 3" in out for out, _ in ended)
