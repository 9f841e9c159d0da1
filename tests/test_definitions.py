"""The EMR and Step Functions definitions call jobs that exist, with keys that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from spark_sentiment.jobs import config

ROOT = Path(__file__).parents[1]
MACHINES = sorted((ROOT / "conf" / "step_functions").glob("*.asl.json"))


def states(machine: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(machine.read_text())["States"]
    return found


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name)
def test_every_state_is_reached_and_every_next_state_exists(machine: Path) -> None:
    text = machine.read_text()
    named = set(re.findall(r'"(?:Next|Default|StartAt)": "(\w+)"', text))
    assert named == set(states(machine))


@pytest.mark.parametrize("machine", MACHINES, ids=lambda path: path.name)
def test_every_task_runs_a_job_with_a_configuration_that_loads(machine: Path) -> None:
    tasks = [state for state in states(machine).values() if state["Type"] == "Task"]
    assert tasks
    for task in tasks:
        args = task["Parameters"]["Step"]["HadoopJarStep"]["Args.$"]
        job, conf = re.findall(r"/opt/spark_sentiment/([\w./]+)", args)
        assert (ROOT / job).is_file()
        settings = [s.replace("{}", "x") for s in re.findall(r"Format\('([^']+)'", args)]
        loaded = config.load(ROOT / conf, settings)
        assert loaded.reviews.path == "x"


def test_cluster_uses_delta_and_the_projects_python() -> None:
    cluster = json.loads((ROOT / "conf" / "emr" / "cluster.json").read_text())
    settings = {c["Classification"]: c["Properties"] for c in cluster["Configurations"]}
    bootstrap = (ROOT / "conf" / "emr" / "bootstrap.sh").read_text()
    home = re.search(r"^home=(\S+)$", bootstrap, re.MULTILINE)
    assert home is not None
    assert settings["delta-defaults"] == {"delta.enabled": "true"}
    assert settings["spark-defaults"]["spark.pyspark.python"] == f"{home[1]}/.venv/bin/python"


def test_bootstrap_is_a_script_that_parses() -> None:
    script = ROOT / "conf" / "emr" / "bootstrap.sh"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
