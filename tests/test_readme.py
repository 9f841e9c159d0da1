"""What README tells a reader to do works as it stands; its first command is run in test_jobs."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.readme import ROOT, TEXT, blocks, commands
from helpers.sums import add_up
from pyspark.sql import SparkSession

from spark_sentiment.jobs import config
from spark_sentiment.standin import StandIn


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    assert ["uv", "run", "pytest"] in commands()
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_python_examples_run(
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pipeline, training, scoring = blocks("python")
    names: dict[str, object] = {}
    monkeypatch.chdir(tmp_path)  # the examples save a model

    def told(example: str) -> str:
        exec(compile(example, "README.md", "exec"), names)
        return capsys.readouterr().out

    assert re.search(r"DPL.*probability", told(pipeline), re.DOTALL)
    with StandIn(seconds=0.02) as aws:
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
        vectors = re.findall(r"\|\[\d", told(training.replace("BUCKET", aws.bucket)))
        assert len(vectors) == 5
        ended = [name for name, _ in aws.calls if name.startswith("Delete")]
        assert ended == ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"]
        aws.deploy("sentiment-xgboost", add_up)
        assert re.search(r"\[0\.5,2\.0\]\|\s+2\.5\|\s+NULL", told(scoring))


def test_every_job_command_names_a_job_and_keys_that_exist() -> None:
    jobs = [words for words in commands() if any("jobs/" in word for word in words)]
    assert len(jobs) > 3
    for words in jobs:
        place = next(i for i, word in enumerate(words) if "jobs/" in word)
        job, conf = (word.removeprefix("/opt/spark_sentiment/") for word in words[place:][:2])
        assert (ROOT / job).is_file()
        if job == "jobs/endpoints.py":  # it has options in place of a configuration
            asked = [sys.executable, job, *words[place + 1 :], "--help"]
            assert subprocess.run(asked, cwd=ROOT, capture_output=True).returncode == 0
            continue
        settings = [value for key, value in itertools.pairwise(words) if key == "--set"]
        config.load(ROOT / conf, settings)


def test_every_package_stands_in_the_architecture() -> None:
    picture = TEXT[TEXT.index("\nspark_sentiment/\n") : TEXT.index("## Figures")]
    package = ROOT / "spark_sentiment"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert folders <= set(re.findall(r"^  (\w+)/", picture, re.MULTILINE))
    assert modules <= set(re.findall(r"\w+", picture[picture.index("  core/") :].splitlines()[0]))


def test_every_test_and_bench_named_in_the_readme_is_there() -> None:
    named = re.findall(r"tests/[\w/]+\.py", TEXT)
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name


def test_changelog_s_newest_version_is_the_package_s() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert f'version = "{newest[1]}"' in (ROOT / "pyproject.toml").read_text()
