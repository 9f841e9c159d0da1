"""What is to become of a resource, and what the caller has to be allowed to do."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from spark_sentiment.sagemaker import janitor
from spark_sentiment.sagemaker.aws.resources import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    KINDS,
    MODEL,
    RUN_ID,
    TRAINING_JOB,
    TRANSFORM_JOB,
    Kind,
    Resource,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def resource(kind: Kind, hours: float | None, status: str = "", run_id: str = "run-1") -> Resource:
    expires = None if hours is None else NOW + timedelta(hours=hours)
    return Resource(kind, "name", run_id, expires, NOW, status)


@pytest.mark.parametrize(
    ("one", "everything", "says"),
    [
        (resource(MODEL, 0.0), False, "delete"),
        (resource(MODEL, 0.01), False, "keep: not expired"),
        (resource(MODEL, 0.01), True, "delete"),
        (resource(MODEL, None), False, "keep: no expiry"),
        (resource(MODEL, None), True, "delete"),
        (resource(TRANSFORM_JOB, -1, "InProgress"), False, "stop"),
        (resource(ENDPOINT, -1, "Failed"), False, "delete"),
        (resource(ENDPOINT, -1, "Updating"), False, "delete; AWS may refuse while Updating"),
        (resource(ENDPOINT, -1, "Deleting"), True, "nothing: already being deleted"),
    ],
    ids=lambda value: value.kind.name if isinstance(value, Resource) else str(value),
)
def test_each_resource_has_a_verdict(one: Resource, everything: bool, says: str) -> None:
    (verdict,) = janitor.judge([one], NOW, everything)
    assert verdict.says == says
    assert verdict.ends == says.startswith(("delete", "stop"))


@pytest.mark.parametrize(
    ("user", "everything", "ends"),
    [
        (resource(ENDPOINT, 1, "InService"), False, False),
        (resource(ENDPOINT, None, "InService"), False, False),
        (resource(TRANSFORM_JOB, 1, "InProgress"), False, False),
        (resource(TRAINING_JOB, 1, "InProgress"), False, True),
        (resource(ENDPOINT, 1, "InService", "run-2"), False, True),
        (resource(ENDPOINT, -1, "InService"), False, True),
        (resource(ENDPOINT, 1, "Deleting"), False, True),
        (resource(ENDPOINT, 1, "InService"), True, True),
    ],
    ids=[
        "endpoint",
        "endpoint without expiry",
        "transform job",
        "training job",
        "of another run",
        "expired",
        "going",
        "all",
    ],
)
@pytest.mark.parametrize("kind", [ENDPOINT_CONFIG, MODEL], ids=lambda kind: kind.name)
def test_what_has_expired_is_kept_while_its_run_uses_it(
    kind: Kind, user: Resource, everything: bool, ends: bool
) -> None:
    *_, verdict = janitor.judge([user, resource(kind, -1)], NOW, everything)
    assert verdict.ends == ends


def test_the_policy_of_the_docstring_allows_what_is_asked_and_no_more() -> None:
    documented = re.search(r"::\n\n( {4}\{.*?^ {4}\})", janitor.__doc__ or "", re.DOTALL | re.M)
    assert documented is not None
    listing, ending = json.loads(documented[1])["Statement"]

    def actions(operations: list[str]) -> list[str]:
        return sorted(f"sagemaker:{name.title().replace('_', '')}" for name in operations)

    assert sorted(listing["Action"]) == actions([*(kind.list for kind in KINDS), "list_tags"])
    assert sorted(ending["Action"]) == actions([kind.delete for kind in KINDS])
    assert ending["Condition"] == {"Null": {f"aws:ResourceTag/{RUN_ID}": "false"}}
