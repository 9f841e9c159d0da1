"""README's commands and its Pipeline work; long/test_readme_command runs the first of them."""

import re
from pathlib import Path

import pytest
from helpers.readme import ROOT, blocks, commands
from helpers.sums import add_up
from pyspark.sql import SparkSession

from spark_sentiment.standin import StandIn

SAGEMAKER = (ROOT / "docs" / "sagemaker.md").read_text()


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    assert ["uv", "run", "pytest"] in commands()
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_python_examples_run(
    spark: SparkSession,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (pipeline,) = blocks("python")
    training, scoring = blocks("python", SAGEMAKER)  # they go on with README's Pipeline
    names: dict[str, object] = {}

    def told(example: str) -> str:
        # Java has a working directory of its own: where a model is saved is named in full.
        placed = example.replace('"output', f'"{tmp_path}/output')
        exec(compile(placed, "README.md", "exec"), names)
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


def test_changelog_s_newest_version_is_the_package_s() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert f'version = "{newest[1]}"' in (ROOT / "pyproject.toml").read_text()
