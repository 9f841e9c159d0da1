"""Definition of an algorithm: it trains on channels, and its model answers requests."""

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
"""Function of a body, its content type and the accepted type; returns body and content type."""


@dataclass(frozen=True)
class Channel:
    """Training data of a channel: its name, content type and the bodies of its objects."""

    name: str
    content_type: str | None
    bodies: Sequence[bytes]


@dataclass(frozen=True)
class Training:
    """Input of an algorithm from a training job.

    Attributes
    ----------
    values : mapping
        Hyperparameters, checked and converted.
    channels : mapping of str to Channel
        Channels by name.
    content_type : str
        Content type of channels without one.
    """

    values: Mapping[str, Any]
    channels: Mapping[str, Channel]
    content_type: str

    @cached_property
    def train(self) -> Table:
        """Table of the channel 'train', which every algorithm needs."""
        found = self.table("train")
        if found is None:
            raise JobError(
                "ClientError: Unable to initialize the algorithm. The channel 'train' is missing; "
                f"the channels are {sorted(self.channels)}"
            )
        return found

    def table(self, name: str) -> Table | None:
        """Read a channel and check its width against feature_dim; None if it does not exist."""
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
        """Return the labels of a channel; raise JobError if it has none."""
        if table.labels is None:
            raise JobError("ClientError: the records of the channel have no label")
        return table.labels


@dataclass(frozen=True)
class Trained:
    """Result of training: the files of the model, and its metrics."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Algorithm:
    """A built-in algorithm.

    Attributes
    ----------
    rules : mapping of str to Rule
        Rules of its hyperparameters.
    formats : tuple of str
        Content types of training data; the first is the default of a channel.
    train : callable
        Function that trains; it raises JobError if AWS's algorithm would fail.
    load : callable
        Function that returns a container from the files of a model; it raises KeyError or
        ValueError if the files belong to another algorithm.
    load_in_batch : callable, optional
        The same for batch transform, if its answers have another format.
    """

    rules: Mapping[str, Rule]
    formats: tuple[str, ...]
    train: Callable[[Training], Trained]
    load: Callable[[Mapping[str, bytes]], Container]
    load_in_batch: Callable[[Mapping[str, bytes]], Container] | None = None

    def checked(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return hyperparameters as values; raise JobError if one is missing, unknown or wrong."""
        return checked(given, self.rules)

    def refuse_formats(self, channels: Mapping[str, Channel]) -> None:
        """Raise JobError if a channel has a content type that the algorithm does not read."""
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
