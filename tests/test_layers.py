"""Imports point one way: jobs -> flows -> pipeline -> stages and tables -> params."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

import spark_sentiment

PACKAGE = Path(spark_sentiment.__file__).parent
# Modules that may know many others; all the rest are stages, tables or what both stand on.
FLOWS = {
    "train",
    "score",
    "measure",
    "endpoints",
    "workspace",
    "pipeline",
    "job",
    "summary",
    "__init__",
}
ONLY = {
    "delta": {"tables", "session"},
    "sparknlp": {"sparknlp"},
    "openvino": {"engines"},
    "boto3": {"sagemaker.aws", "standin.*"},
    "botocore": {"sagemaker.aws", "sagemaker.invoke", "sagemaker.resources", "standin.*"},
    "moto": {"standin.*"},
    "sklearn": {"standin.*"},
    "xgboost": {"standin.*"},
    "spark_sentiment.standin": {"standin.*"},
}


def imports(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): imports(path)
    for path in sorted(PACKAGE.rglob("*.py"))
}


@pytest.mark.parametrize("name", sorted(set(MODULES) - FLOWS))
def test_stages_and_tables_do_not_import_flows(name: str) -> None:
    above = {f"spark_sentiment.{flow}" for flow in FLOWS}
    assert not MODULES[name] & above


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_imported_by_its_own_module_alone(library: str) -> None:
    users = {
        name
        for name, found in MODULES.items()
        if any(module == library or module.startswith(f"{library}.") for module in found)
    }
    allowed = ONLY[library]
    assert not [name for name in users if not any(fnmatch(name, known) for known in allowed)]


def test_no_module_pickles() -> None:
    assert not [name for name, found in MODULES.items() if found & {"pickle", "cloudpickle"}]
