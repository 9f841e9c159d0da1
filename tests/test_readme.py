"""What the README tells a reader to do works as it stands there."""

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from sums import add_up

from spark_sentiment import config
from spark_sentiment.standin import StandIn

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    text = "\n".join(blocks("bash")).replace("\\\n", " ")
    return [shlex.split(line, comments=True) for line in text.splitlines() if line.strip()]


def test_the_run_command_trains_on_generated_reviews(tmp_path: Path) -> None:
    line = next(words for words in commands() if "pip" in words[:1])
    after_install = line[line.index("&&") + 1 :]
    assert after_install[:2] == ["uv", "run"]
    # The command as it stands, in this environment, into a folder of the test's own.
    ran = subprocess.run(
        [sys.executable, *after_install[2:], "--set", f"output.base={tmp_path / 'out'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        # Java's better compiler takes longer than the whole of a run this small.
        env={**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"Accuracy 0\.\d+, macro-F1 0\.\d+", ran.stdout)
    assert "Traceback" not in ran.stderr
    assert (tmp_path / "out" / "predictions" / "_delta_log").is_dir()


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    assert ["uv", "run", "pytest"] in commands()
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_python_examples_run(
    spark: SparkSession, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, scoring = blocks("python")
    names: dict[str, object] = {}
    exec(compile(pipeline, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "DPL" in shown
    assert "probability" in shown
    with StandIn() as aws:
        aws.deploy("sentiment-xgboost", add_up)
        # boto3's own setting, where the Python workers of this test see it
        environment = spark.sparkContext.environment
        monkeypatch.setitem(environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", aws.url)
        exec(compile(scoring, "README.md", "exec"), names)
    assert re.search(r"\[0\.5,2\.0\]\|\s+2\.5\|\s+NULL", capsys.readouterr().out)


def test_every_job_command_names_a_job_and_keys_that_exist() -> None:
    jobs = [words for words in commands() if any("jobs/" in word for word in words)]
    assert len(jobs) > 3
    for words in jobs:
        place = next(i for i, word in enumerate(words) if "jobs/" in word)
        job, conf = (word.removeprefix("/opt/spark_sentiment/") for word in words[place:][:2])
        assert (ROOT / job).is_file()
        settings = [value for key, value in itertools.pairwise(words) if key == "--set"]
        config.load(ROOT / conf, settings)


def test_every_module_stands_in_the_architecture() -> None:
    picture = README[README.index("## Architecture") : README.index("## Figures")]
    named = set(re.findall(r"\w+", picture))
    modules = {path.stem for path in (ROOT / "spark_sentiment").rglob("*.py")} - {"__init__"}
    assert modules <= named


def test_every_bench_named_in_the_readme_is_there() -> None:
    for name in re.findall(r"tests/bench/\w+\.py", README):
        assert (ROOT / name).is_file(), name


def test_changelog_s_newest_version_is_the_package_s() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert f'version = "{newest[1]}"' in (ROOT / "pyproject.toml").read_text()
