"""Every public example runs, and the package says truly what it offers."""

import doctest
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import spark_sentiment

ROOT = Path(__file__).parents[1]
MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(spark_sentiment.__path__, "spark_sentiment.")
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".", 1)[-1])
def test_examples_run(
    module: ModuleType, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # examples name files as a reader in the checkout would
    found = doctest.testmod(
        module, extraglobs={"spark": spark, "F": F}, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert found.failed == 0


def test_all_lists_what_the_package_imports() -> None:
    public = {name for name, value in vars(spark_sentiment).items() if _ours(name, value)}
    assert sorted(spark_sentiment.__all__) == spark_sentiment.__all__
    assert set(spark_sentiment.__all__) == public


def _ours(name: str, value: object) -> bool:
    return not name.startswith("_") and not isinstance(value, ModuleType)
