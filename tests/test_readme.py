"""What the README tells a reader to do works as it stands there."""

import itertools
import re
import runpy
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


def test_the_run_command_trains_on_generated_reviews(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = next(words for words in commands() if "pip" in words[:1])
    after_install = line[line.index("&&") + 1 :]
    assert after_install[:2] == ["uv", "run"]
    # The command as it stands, into a folder of the test's own. It finds the tests' session: a JVM
    # of its own takes a minute to warm up, and test_killed starts a job in one.
    program, *words = after_install[2:]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [program, *words, "--set", f"output.base={tmp_path / 'out'}"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(program, run_name="__main__")
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert re.search(r"Accuracy 0\.\d+, macro-F1 0\.\d+", said.out)
    assert (tmp_path / "out" / "predictions" / "_delta_log").is_dir()


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
