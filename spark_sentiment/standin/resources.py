"""Store of SageMaker's resources by kind and name, with tags and listings."""

import base64
import binascii
import itertools
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from spark_sentiment.standin import shapes
from spark_sentiment.standin.errors import ServiceError
from spark_sentiment.standin.storage import Storage

ACCOUNT = "123456789012"
_MOST_TAGS = 50


@dataclass(frozen=True)
class Kind:
    """A kind of resource, with the words that the service uses for it.

    Attributes
    ----------
    stem : str
        Word in names of operations and members, such as 'TrainingJob'.
    noun : str
        Word in an ARN, such as 'training-job'.
    words : str
        Words in messages, such as 'training job'.
    is_job : bool
        Whether it is a job. Jobs have other messages, and their names cannot be used again.
    newest_first : bool
        Default order of a listing.
    """

    stem: str
    noun: str
    words: str
    is_job: bool = False
    newest_first: bool = True

    def missing(self, arn: str) -> ServiceError:
        """Return the error of the service for a missing resource."""
        if self.is_job:
            return ServiceError("ValidationException", "Requested resource not found.")
        return ServiceError("ValidationException", f'Could not find {self.words} "{arn}".')

    def taken(self, arn: str) -> ServiceError:
        """Return the error of the service for a name that is in use."""
        if not self.is_job:
            text = f'Cannot create already existing {self.words} "{arn}".'
            return ServiceError("ValidationException", text)
        words = self.words[0].upper() + self.words[1:]
        text = (
            f"{words} names must be unique within an AWS account and region, and a {self.words} "
            f"with this name already exists ({arn})"
        )
        return ServiceError("ResourceInUse", text)


TRAINING_JOB = Kind("TrainingJob", "training-job", "training job", True, newest_first=False)
TRANSFORM_JOB = Kind("TransformJob", "transform-job", "transform job", True)
MODEL = Kind("Model", "model", "model")
ENDPOINT_CONFIG = Kind("EndpointConfig", "endpoint-config", "endpoint configuration")
ENDPOINT = Kind("Endpoint", "endpoint", "endpoint")
KINDS = (TRAINING_JOB, TRANSFORM_JOB, MODEL, ENDPOINT_CONFIG, ENDPOINT)


@dataclass
class Resource:
    """A resource; `facts` are the members that Describe returns."""

    kind: Kind
    name: str
    arn: str
    facts: dict[str, Any]
    tags: dict[str, str]
    number: int  # position in the order of creation
    stop: threading.Event = field(default_factory=threading.Event)  # set by Stop...Job

    @property
    def status(self) -> str:
        """Status of the resource, as Describe returns it."""
        return str(self.facts.get(f"{self.kind.stem}Status", ""))

    def set(self, **facts: Any) -> None:
        """Change facts of the resource, and its LastModifiedTime."""
        self.facts |= {**facts, "LastModifiedTime": now()}


def now() -> datetime:
    """Return the current time in UTC with milliseconds, as in the service."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


class Resources:
    """All resources of one stand-in, and the threads that move them from state to state.

    Parameters
    ----------
    region : str
        AWS region in ARNs.
    seconds : float
        Seconds that each state lasts.
    storage : Storage
        Client of S3.
    """

    def __init__(self, region: str, seconds: float, storage: Storage) -> None:
        self.region, self.seconds, self.storage = region, seconds, storage
        self.lag = 0.0
        self.lock = threading.RLock()
        self._kept: dict[Kind, dict[str, Resource]] = {kind: {} for kind in KINDS}
        self._numbers = itertools.count()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    # --- one resource

    def arn(self, kind: Kind, name: str) -> str:
        """Return the ARN of a resource, which has the name in lower case."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{kind.noun}/{name.lower()}"

    def add(self, kind: Kind, request: Mapping[str, Any], **facts: Any) -> Resource:
        """Create a resource from a request; raise ServiceError if its name is in use."""
        name = request[f"{kind.stem}Name"]
        arn = self.arn(kind, name)
        with self.lock:
            if name in self._kept[kind]:
                raise kind.taken(arn)
            made = Resource(kind, name, arn, {}, {}, next(self._numbers))
            given = {key: value for key, value in request.items() if key != "Tags"}
            made.set(**given, **facts, **{f"{kind.stem}Arn": arn})
            made.facts["CreationTime"] = made.facts["LastModifiedTime"]
            _tag(made, request.get("Tags", []))
            self._kept[kind][name] = made
        return made

    def find(self, kind: Kind, name: str) -> Resource:
        """Return a resource; raise ServiceError if it does not exist."""
        with self.lock:
            found = self._kept[kind].get(name)
        if found is None:
            raise kind.missing(self.arn(kind, name))
        return found

    def remove(self, kind: Kind, name: str) -> None:
        """Remove a resource."""
        with self.lock:
            self.find(kind, name)
            del self._kept[kind][name]

    def describe(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the facts of a resource, unless it is newer than `lag` seconds."""
        found = self.find(kind, request[f"{kind.stem}Name"])
        if not self._seen(found):
            raise kind.missing(found.arn)
        return dict(found.facts)

    # --- many

    def list(self, kind: Kind, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of summaries, filtered and sorted as requested."""
        with self.lock:
            found = [one for one in self._kept[kind].values() if self._seen(one)]
        found = [one for one in found if _wanted(one, request)]
        by = request.get("SortBy", "CreationTime")
        reverse = request.get("SortOrder", "Descending" if kind.newest_first else "Ascending")
        keys: dict[str, Callable[[Resource], Any]] = {
            "Name": lambda one: one.name,
            "Status": lambda one: (one.status, one.number),
        }
        found.sort(key=keys.get(by, lambda one: one.number), reverse=reverse == "Descending")
        page, token = _page(found, request, "MaxResults", 10)
        shape = shapes.operation("sagemaker", f"List{kind.stem}s").output_shape
        (key,) = (name for name in shape.members if name != "NextToken")
        summary = shape.members[key].member
        return {key: [shapes.members(one.facts, summary) for one in page], **token}

    def _seen(self, one: Resource) -> bool:
        return bool((now() - one.facts["CreationTime"]).total_seconds() >= self.lag)

    # --- tags

    def add_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Add tags to the resource of an ARN; return all its tags."""
        found = self._of_arn(request["ResourceArn"])
        with self.lock:
            _tag(found, request["Tags"])
        return {"Tags": _tags(found)}

    def list_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of a resource's tags."""
        page, token = _page(_tags(self._of_arn(request["ResourceArn"])), request, "MaxResults", 50)
        return {"Tags": page, **token}

    def delete_tags(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Remove tags; a missing tag is not an error."""
        found = self._of_arn(request["ResourceArn"])
        with self.lock:
            for key in request["TagKeys"]:
                found.tags.pop(key, None)
        return {}

    def _of_arn(self, arn: str) -> Resource:
        with self.lock:
            for kept in self._kept.values():
                for one in kept.values():
                    if one.arn == arn.lower():
                        return one
        raise ServiceError("ValidationException", f"Could not find resource {arn}")

    # --- threads and time

    def start(self, work: Callable[[], None]) -> None:
        """Run `work` in a new thread."""

        def run() -> None:
            try:
                work()
            except Exception:
                if not self._closing.is_set():  # after that, errors are expected
                    traceback.print_exc()

        thread = threading.Thread(target=run, daemon=True)
        with self.lock:
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()

    def wait(self) -> None:
        """Wait for the time that a state lasts."""
        self._closing.wait(self.seconds)

    def close(self) -> None:
        """Stop all jobs and waits, and wait for the threads."""
        self._closing.set()
        with self.lock:
            threads = list(self._threads)
            for one in itertools.chain(*(kept.values() for kept in self._kept.values())):
                one.stop.set()
        for thread in threads:
            thread.join(timeout=10)


def _tag(one: Resource, tags: list[dict[str, str]]) -> None:
    wanted = {**one.tags, **{tag["Key"]: tag["Value"] for tag in tags}}
    if len(wanted) > _MOST_TAGS:
        raise ServiceError("ValidationException", f"a resource has at most {_MOST_TAGS} tags")
    one.tags = wanted


def _tags(one: Resource) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(one.tags.items())]


def _wanted(one: Resource, request: Mapping[str, Any]) -> bool:
    if request.get("NameContains", "").lower() not in one.name.lower():
        return False
    if request.get("StatusEquals", one.status) != one.status:
        return False
    for time in ("CreationTime", "LastModifiedTime"):
        at = one.facts[time].timestamp()
        if at < request.get(f"{time}After", at) or at > request.get(f"{time}Before", at):
            return False
    return True


def _page(
    found: list[Any], request: Mapping[str, Any], limit: str, default: int
) -> tuple[list[Any], dict[str, str]]:
    """Return the items of a page, and the token of the next page if there is one."""
    begin = 0
    if "NextToken" in request:
        try:
            begin = int(base64.b64decode(request["NextToken"], validate=True))
        except (binascii.Error, ValueError) as error:
            raise ServiceError("ValidationException", "Invalid NextToken") from error
    end = begin + request.get(limit, default)
    token = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(found) else {}
    return found[begin:end], token
