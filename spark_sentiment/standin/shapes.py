"""Validate requests against botocore's model of the service, as AWS does.

The messages are those of AWS: ``1 validation error detected: Value 'a b' at 'trainingJobName'
failed to satisfy constraint: Member must satisfy regular expression pattern: ...``.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session

from spark_sentiment.standin.errors import ServiceError

# Elements of Java's regular expressions, and the same in Python.
_JAVA = {
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{Print}": r"\x20-\x7e",
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\z": r"\Z",
}
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}


@cache
def operation(service: str, name: str) -> Any:
    """Return botocore's model of an operation of 'sagemaker' or 'sagemaker-runtime'."""
    return _service(service).operation_model(name)


@cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def check(given: Mapping[str, Any], shape: Any, code: str = "ValidationException") -> None:
    """Raise ServiceError if a request breaks a rule of its shape.

    Parameters
    ----------
    given : mapping
        The request.
    shape : botocore.model.StructureShape
        Shape of the operation's input.
    code : str, default 'ValidationException'
        Code of the error; the runtime uses 'ValidationError'.

    Examples
    --------
    >>> check({"EndpointName": "a b"}, operation("sagemaker", "DescribeEndpoint").input_shape)
    Traceback (most recent call last):
    ...
    spark_sentiment.standin.errors.ServiceError: ValidationException: 1 validation error detected: \
Value 'a b' at 'endpointName' failed to satisfy constraint: Member must satisfy regular \
expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}
    """
    found = list(_broken(dict(given), shape, ""))
    if found:
        errors = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        raise ServiceError(code, errors + "; ".join(found))


def members(facts: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Return the values of `facts` that are members of a shape and not None."""
    return {name: facts[name] for name in shape.members if facts.get(name) is not None}


def _broken(value: Any, shape: Any, path: str) -> Iterator[str]:
    kind: str = shape.type_name
    if kind == "blob":
        return
    known = isinstance(value, _KINDS[kind])
    if not known or (isinstance(value, bool) and kind != "boolean"):
        raise ServiceError("SerializationException", f"{path or 'the request'} is not a {kind}")
    for rule in _rules(value, shape):
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}"
    if kind == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                where = _below(path, name)
                yield (
                    f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
                )
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _broken(value[name], member, _below(path, name))
    elif kind == "list":
        for place, item in enumerate(value, start=1):
            yield from _broken(item, shape.member, f"{path}.{place}.member")
    elif kind == "map":
        for key, item in value.items():
            yield from _broken(key, shape.key, f"{path}.key")
            yield from _broken(item, shape.value, f"{path}.{key}.member")


def _rules(value: Any, shape: Any) -> Iterator[str]:
    rules = shape.metadata
    low, high = rules.get("min"), rules.get("max")
    measured, what = (value, "value") if isinstance(value, int | float) else (len(value), "length")
    if low is not None and measured < low:
        yield f"have {what} greater than or equal to {low}"
    if high is not None and measured > high:
        yield f"have {what} less than or equal to {high}"
    if rules.get("enum") and value not in rules["enum"]:
        yield f"satisfy enum value set: [{', '.join(rules['enum'])}]"
    if rules.get("pattern") and not _pattern(rules["pattern"]).fullmatch(value):
        yield f"satisfy regular expression pattern: {rules['pattern']}"


@cache
def _pattern(java: str) -> re.Pattern[str]:
    for theirs, ours in _JAVA.items():
        java = java.replace(theirs, ours)
    return re.compile(java)


def _below(path: str, name: str) -> str:
    """Return the path of a member as in AWS's messages, with a lower-case first letter."""
    member = name[0].lower() + name[1:]
    return f"{path}.{member}" if path else member
