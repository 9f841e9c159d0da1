"""jobs/endpoints.py lists what this library's tags mark, and deletes what has expired."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spark_sentiment.jobs import endpoints, runner
from spark_sentiment.sagemaker import janitor
from spark_sentiment.sagemaker.aws import resources
from spark_sentiment.sagemaker.aws.clients import Site, client
from spark_sentiment.sagemaker.aws.resources import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    EXPIRES,
    MODEL,
    RUN_ID,
    TRAINING_JOB,
    Kind,
    tags,
    unique_name,
)
from spark_sentiment.standin import StandIn

ROOT = Path(__file__).parents[2]
LIVE, EXPIRED = 5.0, -5.0  # hours from now
LONG = 60.0  # seconds that a state of the stand-in lasts: as good as for ever


class Account:
    """Fills an account of the stand-in's, runs the job on it, and looks at what is left."""

    def __init__(self, aws: StandIn) -> None:
        self.aws = aws
        self.site = Site(aws.region, aws.url)
        self.client = client("sagemaker", self.site)

    def model(self, *marks: dict[str, str], name: str | None = None) -> str:
        name = name or unique_name("test")
        container = {"Image": "model:1", "ModelDataUrl": f"s3://{self.aws.bucket}/model.tar.gz"}
        self.client.create_model(
            ModelName=name,
            ExecutionRoleArn=self.aws.role,
            PrimaryContainer=container,
            Tags=list(marks),
        )
        return name

    def config(self, *marks: dict[str, str]) -> str:
        """Make a configuration, of a model that is not ours."""
        name = unique_name("test")
        variant = {
            "VariantName": "all",
            "ModelName": self.model(name=f"foreign-{name[-8:]}"),
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self.client.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=list(marks)
        )
        return name

    def endpoint(self, *marks: dict[str, str]) -> str:
        name = unique_name("test")
        self.aws.deploy(name, lambda body, content_type, accept: body)
        arn = self.client.describe_endpoint(EndpointName=name)["EndpointArn"]
        self.client.add_tags(ResourceArn=arn, Tags=list(marks))
        return name

    def endpoint_being_created(self, *marks: dict[str, str]) -> str:
        name = unique_name("test")
        self.client.create_endpoint(
            EndpointName=name, EndpointConfigName=self.config(), Tags=list(marks)
        )
        return name

    def training_job(self, *marks: dict[str, str]) -> str:
        name = unique_name("test")
        self.client.create_training_job(
            TrainingJobName=name,
            AlgorithmSpecification={"TrainingImage": "trainer:1", "TrainingInputMode": "File"},
            RoleArn=self.aws.role,
            OutputDataConfig={"S3OutputPath": f"s3://{self.aws.bucket}/out"},
            ResourceConfig={
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
            Tags=list(marks),
        )
        return name

    def whole_run(self, run_id: str, hours: float) -> list[str]:
        marks = tags(run_id, hours, {})
        return [self.endpoint(*marks), self.config(*marks), self.model(*marks)]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the job; return its exit code and what it printed."""
        said = io.StringIO()
        given = ["--region", self.aws.region, "--endpoint-url", self.aws.url, *arguments]
        with contextlib.redirect_stdout(said):
            code = endpoints.main(given)
        return code, said.getvalue()

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all resources of a kind; of endpoints, of those that serve."""
        pages = self.client.get_paginator(kind.list).paginate()
        found = [one for page in pages for one in page[kind.listed]]
        return [one[kind.named] for one in found if one.get("EndpointStatus") != "Deleting"]

    def left(self) -> set[str]:
        """Return the names of all endpoints that serve, configurations and models."""
        return {name for kind in (ENDPOINT, ENDPOINT_CONFIG, MODEL) for name in self.names(kind)}

    def empty(self) -> None:
        """Delete everything, and forget what was asked for."""
        self.aws.faults.clear()
        for kind in (ENDPOINT, ENDPOINT_CONFIG, MODEL):
            for name in self.names(kind):
                resources.delete("tests", self.site, kind, name)
        wait = self.client.get_waiter("endpoint_deleted").wait
        for page in self.client.get_paginator("list_endpoints").paginate():
            for found in page["Endpoints"]:
                patience = {"Delay": 0, "MaxAttempts": 500}
                wait(EndpointName=found["EndpointName"], WaiterConfig=patience)
        self.aws.calls.clear()

    def changes(self) -> list[str]:
        """Return the operations that were asked for and end something."""
        asked = [operation for operation, _ in self.aws.calls]
        return [operation for operation in asked if operation.startswith(("Delete", "Stop"))]


@pytest.fixture(scope="module")
def shared() -> Iterator[Account]:
    with StandIn(seconds=0.02) as aws:
        yield Account(aws)


@pytest.fixture
def account(shared: Account) -> Account:
    """An account with nothing in it."""
    shared.empty()
    return shared


@pytest.fixture
def slow_account() -> Iterator[Account]:
    """An account where an endpoint stays Creating, and a job InProgress."""
    with StandIn(seconds=LONG) as aws:
        yield Account(aws)


def marks(expires: str | None, run_id: str = "run-1") -> list[dict[str, str]]:
    told = {RUN_ID: run_id} | ({} if expires is None else {EXPIRES: expires})
    return [{"Key": key, "Value": value} for key, value in told.items()]


# --- what is listed


def test_an_empty_account_has_nothing(account: Account) -> None:
    assert account.run() == (runner.OK, "No resources of this library were found in us-east-1.\n")


def test_a_run_that_left_nothing_is_named(account: Account) -> None:
    account.model(*tags("run-1", LIVE, {}))
    said = account.run("--run-id", "run-2")[1]
    assert said == "No resources of run run-2 were found in us-east-1.\n"


@pytest.mark.parametrize("flags", [[], ["--dry-run"]], ids=["default", "dry-run"])
def test_a_dry_run_changes_nothing(flags: list[str], account: Account) -> None:
    names = account.whole_run("run-1", EXPIRED)
    code, said = account.run(*flags)
    assert code == runner.OK
    assert account.changes() == []
    assert set(names) <= account.left()
    assert "Nothing was changed." in said


def test_the_table_says_what_there_is_and_what_would_become_of_it(account: Account) -> None:
    old = account.endpoint(*tags("run-1", EXPIRED, {}))
    new = account.model(*tags("run-2", LIVE + 0.01, {}))
    head, *rows = account.run()[1].splitlines()
    cells = [re.split(r" {2,}", row) for row in (head, *rows[:2])]
    assert cells == [
        ["kind", "name", "status", "run id", "age", "expires", "to do"],
        ["endpoint", old, "InService", "run-1", "0 min", "5 h 0 min ago", "delete"],
        ["model", new, "-", "run-2", "0 min", "in 5 h 0 min", "keep: not expired"],
    ]
    assert rows[3] == "2 found: 1 to delete, 1 to leave alone"


def test_the_command_that_a_dry_run_prints_does_what_was_shown(account: Account) -> None:
    mine, other = account.whole_run("run-1", LIVE), account.whole_run("run-2", EXPIRED)
    said = account.run("--run-id", "run-1", "--all")[1]
    command = shlex.split(said.splitlines()[-1].partition("To delete: ")[2])
    assert command[:2] == ["python", "jobs/endpoints.py"]
    assert endpoints.main(command[2:]) == runner.OK
    assert not account.left() & set(mine)
    assert set(other) <= account.left()


def test_no_command_is_printed_where_nothing_has_expired(account: Account) -> None:
    account.whole_run("run-1", LIVE)
    assert "To delete" not in account.run()[1]


def test_all_pages_of_a_listing_are_read(account: Account) -> None:
    names = {account.model(*tags("run-1", EXPIRED, {})) for _ in range(101)}
    assert names & account.left() == names
    assert account.run("--delete")[0] == runner.OK
    assert names & account.left() == set()


def test_a_listing_that_is_refused_lets_nothing_be_deleted(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.whole_run("run-1", EXPIRED)
    account.aws.faults.set(operation="ListModels", kinds=["424"])
    assert account.run("--delete")[0] == runner.REFUSED
    assert account.changes() == []
    assert "endpoints: SageMakerError: us-east-1: list_models failed" in capsys.readouterr().err


# --- what is deleted


def test_what_has_expired_is_deleted_and_what_has_not_stays(account: Account) -> None:
    expired, live = account.whole_run("run-1", EXPIRED), account.whole_run("run-2", LIVE)
    code, said = account.run("--delete")
    assert code == runner.OK
    assert not account.left() & set(expired)
    assert set(live) <= account.left()
    assert said.splitlines()[-1] == "6 found: 3 deleted, 3 left alone"


def test_an_endpoint_goes_before_its_configuration_and_that_before_its_model(
    account: Account,
) -> None:
    account.whole_run("run-1", EXPIRED)
    account.run("--delete")
    assert account.changes() == ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"]


def test_deleting_twice_is_no_error(account: Account) -> None:
    account.whole_run("run-1", EXPIRED)
    assert account.run("--delete")[0] == runner.OK
    assert account.run("--delete")[0] == runner.OK
    assert len(account.changes()) == 3


def test_what_somebody_else_deletes_meanwhile_is_gone_already(account: Account) -> None:
    name = account.model(*tags("run-1", EXPIRED, {}))
    found = list(resources.made_here("t", account.site))
    account.client.delete_model(ModelName=name)
    judged = janitor.judge(found, datetime.now(UTC))
    assert list(janitor.carry_out(account.site, judged)) == [
        ("gone already", f"gone already: model {name}")
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        [],
        [{"Key": "team", "Value": "others"}],
        [{"Key": EXPIRES, "Value": "2020-01-01T00:00:00Z"}],
    ],
    ids=["no tags", "other tags", "an expiry without a run"],
)
def test_what_has_not_our_tags_is_not_touched_whatever_its_name(
    foreign: list[dict[str, str]], account: Account
) -> None:
    name = account.model(*foreign)
    assert account.run("--delete")[1].startswith("No resources")
    assert name in account.left()


@pytest.mark.parametrize("expires", [None, "", "tomorrow", "2020-01-01"])
def test_without_an_expiry_that_can_be_read_nothing_is_deleted(
    expires: str | None, account: Account
) -> None:
    name = account.model(*marks(expires))
    code, said = account.run("--delete")
    assert code == runner.OK
    assert name in account.left()
    assert re.search(rf"{name} .* no expiry +keep: no expiry", said)


def test_a_run_alone_is_cleaned_of_what_has_expired(account: Account) -> None:
    expired = account.model(*tags("run-1", EXPIRED, {}))
    live = account.model(*tags("run-1", LIVE, {}))
    other = account.model(*tags("run-2", EXPIRED, {}))
    account.run("--run-id", "run-1", "--delete")
    assert account.left() & {expired, live, other} == {live, other}


def test_all_of_a_run_is_deleted_expired_or_not(account: Account) -> None:
    live, endless = account.whole_run("run-1", LIVE), account.model(*marks(None))
    other = account.whole_run("run-2", EXPIRED)
    code, said = account.run("--run-id", "run-1", "--all", "--delete")
    assert code == runner.OK
    assert not account.left() & {*live, endless}
    assert set(other) <= account.left()
    assert said.splitlines()[-1] == "4 found: 4 deleted"


def test_a_job_that_still_runs_is_stopped(slow_account: Account) -> None:
    name = slow_account.training_job(*tags("run-1", EXPIRED, {}))
    code, said = slow_account.run("--delete")
    assert code == runner.OK
    assert f"stopped: training job {name}" in said.splitlines()
    told = slow_account.client.describe_training_job(TrainingJobName=name)
    assert told["TrainingJobStatus"] in ("Stopping", "Stopped")


def test_a_job_that_ends_meanwhile_is_gone_already(slow_account: Account) -> None:
    name = slow_account.training_job(*tags("run-1", EXPIRED, {}))
    slow_account.client.stop_training_job(TrainingJobName=name)
    assert not resources.delete("t", slow_account.site, TRAINING_JOB, name)


# --- what cannot be deleted


def test_one_that_cannot_be_deleted_does_not_stop_the_others(slow_account: Account) -> None:
    creating = slow_account.endpoint_being_created(*tags("run-1", EXPIRED, {}))
    model = slow_account.model(*tags("run-2", EXPIRED, {}))
    code, said = slow_account.run("--delete")
    assert code == runner.LEFT_OVER
    assert f"could not be deleted: endpoint {creating}: us-east-1: delete_endpoint failed" in said
    assert slow_account.left() & {creating, model} == {creating}
    assert said.splitlines()[-1] == "2 found: 1 deleted, 1 could not be deleted"


def test_what_an_endpoint_stands_on_is_kept_where_the_endpoint_could_not_be_deleted(
    account: Account,
) -> None:
    names = account.whole_run("run-1", EXPIRED)
    account.aws.faults.set(operation="DeleteEndpoint", kinds=["424"])
    code, said = account.run("--delete")
    assert code == runner.LEFT_OVER
    assert account.changes() == ["DeleteEndpoint"]
    assert set(names) <= account.left()
    assert f"left alone: model {names[2]}: its run still uses it" in said.splitlines()


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--all"], "--all needs --run-id"),
        (["--all", "--delete"], "--all needs --run-id"),
        (["--run-id", "", "--all", "--delete"], "--run-id: it is empty"),
        (["--delete", "--dry-run"], "not allowed with argument"),
        (["--del"], "unrecognized arguments: --del"),
        (["--endpoint-url", "localhost:8080"], "'localhost:8080' is not a URL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_slip_on_the_command_line_is_refused(
    arguments: list[str], says: str, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.whole_run("run-1", LIVE)
    before = len(account.aws.calls)
    with pytest.raises(SystemExit) as stopped:
        account.run(*arguments)
    assert stopped.value.code == runner.REFUSED
    assert says in capsys.readouterr().err
    assert len(account.aws.calls) == before


def test_a_profile_that_is_not_there_is_refused_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert endpoints.main([]) == runner.REFUSED
    assert "endpoints: SetupError: AWS's settings" in capsys.readouterr().err


def test_it_runs_as_a_process_where_there_is_no_java(account: Account) -> None:
    ran = subprocess.run(
        [sys.executable, "jobs/endpoints.py", "--endpoint-url", account.aws.url],
        cwd=ROOT,
        env={"PATH": "", "AWS_REGION": account.aws.region},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == runner.OK, ran.stderr
    assert ran.stdout == "No resources of this library were found in us-east-1.\n"
