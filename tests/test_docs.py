"""Every public example runs, and the package says truly what it offers."""

import doctest
import importlib
import inspect
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


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Return the examples of a module, and of the stages whose address it is.

    A stage has the address of its package's face, its methods have that of their file: doctest by
    itself takes them for another module's.
    """
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {test.name: test for test in finder.find(module)}
    for name, value in vars(module).items():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            owned = finder.find(value, f"{module.__name__}.{name}", module=False)  # type: ignore[arg-type]
            found |= {test.name: test for test in owned}
    return [test for test in found.values() if test.examples]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.split(".", 1)[-1])
def test_examples_run(
    module: ModuleType, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # examples name files as a reader in the checkout would
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in examples(module):
        test.globs |= {**vars(module), "spark": spark, "F": F}
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_no_example_is_passed_over() -> None:
    written = sum(
        line.lstrip().startswith(">>> ")
        for path in Path(spark_sentiment.__file__).parent.rglob("*.py")
        for line in path.read_text().splitlines()
    )
    assert sum(len(test.examples) for module in MODULES for test in examples(module)) == written


def test_all_lists_what_the_package_imports() -> None:
    public = {name for name, value in vars(spark_sentiment).items() if _ours(name, value)}
    assert sorted(spark_sentiment.__all__) == spark_sentiment.__all__
    assert set(spark_sentiment.__all__) == public


def _ours(name: str, value: object) -> bool:
    return not name.startswith("_") and not isinstance(value, ModuleType)
