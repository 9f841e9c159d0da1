"""Look at the file of the reviews, and print the settings that train on it."""

import json
import shlex
from collections.abc import Mapping

import yaml
from pyspark.sql import SparkSession

from spark_sentiment.errors import ConfigError
from spark_sentiment.jobs import summary
from spark_sentiment.jobs.config import Config
from spark_sentiment.jobs.runner import Steps, show
from spark_sentiment.reviews import SENTIMENTS, Inspection, inspect_reviews


def main(conf: Config, spark: SparkSession, steps: Steps) -> None:
    """Look at a sample of reviews.path, and print the settings that train on it."""
    if conf.reviews.path is None:
        raise ConfigError("reviews.path is not set; name the file or folder to look at")
    with steps("looking at a sample"):
        found = inspect_reviews(spark, conf.reviews.path)
    show(told(found))


def told(found: Inspection) -> str:
    """Return what was found, as text: files, columns, counts, and the settings."""
    parts = [f"Found {found.format}: {found.about}"]
    if found.columns:
        rows = [[each.name, each.ours, each.filled, each.values] for each in found.columns]
        parts.append(summary.table(["column", "used as", "filled", "values"], rows))
    if found.counts is not None:
        read = summary.intake(found.counts.read, found.counts.reasons)
        parts.append(f"Sample\n{read}")
        if any(found.classes):
            parts.append(summary.balance(SENTIMENTS, found.classes))
    parts += [f"To do: {advice}." for advice in found.advice]
    line = set_line(found.settings)
    if line:
        after = ", and add what is to do above" if found.advice else ""
        parts.append(f"To train on it, put this in place of --inspect{after}:\n\n{line}")
    else:
        parts.append("To train on it, leave out --inspect; the defaults fit.")
    return "\n\n".join(parts)


def set_line(settings: Mapping[str, object]) -> str:
    """Return the arguments of the command line for some settings.

    Examples
    --------
    >>> print(set_line({"reviews.delimiter": "|", "reviews.columns": {"review_text": "a b"}}))
    --set 'reviews.delimiter="|"' --set 'reviews.columns={review_text: a b}'
    """
    return " ".join(
        f"--set {shlex.quote(f'{key}={_as_yaml(value)}')}" for key, value in settings.items()
    )


def _as_yaml(value: object) -> str:
    """Write a value as ``--set`` reads it, on one line."""
    if isinstance(value, str):
        return value if yaml.safe_load(value) == value else json.dumps(value)
    written: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9
    )
    return written.strip().removesuffix("...").strip()
