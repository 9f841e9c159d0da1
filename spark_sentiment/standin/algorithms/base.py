"""What an algorithm is to the stand-in: it trains on channels, and its model answers requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from spark_sentiment.standin.algorithms import answers, tables
from spark_sentiment.standin.algorithms.rules import Rule, checked
from spark_sentiment.standin.algorithms.tables import Matrix, Table
from spark_sentiment.standin.errors import ContainerError, JobError

Container = Callable[[bytes, str, str], tuple[bytes, str]]
"""Takes a body, its content type and what is accepted; returns a body and its content type."""


@dataclass(frozen=True)
class Channel:
    """Training data of one name: the bodies of its objects, and what they call themselves."""

    name: str
    content_type: str | None
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Training:
    """What a training job gives to an algorithm.

    Attributes
    ----------
    values : mapping
        Hyperparameters, checked and converted.
    channels : mapping of str to Channel
        By name.
    content_type : str
        Of a channel that names none.
    """

    values: Mapping[str, Any]
    channels: Mapping[str, Channel]
    content_type: str

    @cached_property
    def train(self) -> Table:
        """The channel that every algorithm needs."""
        found = self.table("train")
        if found is None:
            raise JobError(
                "ClientError: Unable to initialize the algorithm. The channel 'train' is missing; "
                f"there is {sorted(self.channels)}"
            )
        return found

    def table(self, name: str) -> Table | None:
        """Read a channel, where there is one, and check its width against feature_dim."""
        channel = self.channels.get(name)
        if channel is None:
            return None
        kind = channel.content_type or self.content_type
        weighted = bool(self.values.get("csv_weights"))
        try:
            found = tables.read(channel.bodies, kind, weighted=weighted)
        except ValueError as error:
            raise JobError(
                f"ClientError: Unable to read data channel '{name}'. Requested content-type is "
                f"'{kind}'. Please verify the data matches the requested content-type. ({error})"
            ) from error
        width = self.values.get("feature_dim")
        if not isinstance(width, int):
            return found
        try:
            return replace(found, features=tables.fitted(found.features, width))
        except ValueError as error:
            raise JobError(
                f"ClientError: feature_dim is {width}, but records of channel '{name}' have "
                f"{found.features.shape[1]} features"
            ) from error

    def labels(self, table: Table) -> "np.ndarray[Any, Any]":
        """Return a channel's labels; JobError where it has none."""
        if table.labels is None:
            raise JobError("ClientError: the records of the channel have no label")
        return table.labels


@dataclass(frozen=True)
class Trained:
    """What training gave: the files of its model, and what it measured."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Algorithm:
    """A built-in algorithm.

    Attributes
    ----------
    rules : mapping of str to Rule
        Its hyperparameters.
    formats : tuple of str
        Content types that it trains on; the first is that of a channel that names none.
    train : callable
        Trains; raises JobError where AWS's would fail.
    load : callable
        Makes a container of a model's files; raises KeyError or ValueError where they are not its.
    load_in_batch : callable, optional
        The same for batch transform, where that is answered in another form.
    """

    rules: Mapping[str, Rule]
    formats: tuple[str, ...]
    train: Callable[[Training], Trained]
    load: Callable[[Mapping[str, bytes]], Container]
    load_in_batch: Callable[[Mapping[str, bytes]], Container] | None = None

    def checked(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return hyperparameters as values; JobError where one is missing, unknown or wrong."""
        return checked(given, self.rules)

    def refuse_formats(self, channels: Mapping[str, Channel]) -> None:
        """Raise JobError where a channel names a content type that the algorithm does not read."""
        for channel in channels.values():
            kind = channel.content_type
            if kind is not None and tables.named(kind)[0] not in self.formats:
                raise JobError(
                    f"ClientError: Content-type '{kind}' of channel '{channel.name}' is not "
                    f"supported; it must be one of {', '.join(self.formats)}"
                )


def numeric(score: Callable[[Matrix], list[dict[str, Any]]], width: int) -> Container:
    """Return a container that reads vectors of `width` numbers and answers with predictions."""

    def container(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        features = tables.request(body, content_type)
        try:
            features = tables.fitted(features, width)
        except ValueError as error:
            raise ContainerError(
                400, f"the request has {features.shape[1]} features, the model {width}"
            ) from error
        return answers.write(score(features), accept)

    return container
