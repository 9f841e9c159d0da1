"""Imports point one way, from package to package, and only through a package's face."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

import spark_sentiment

PACKAGE = Path(spark_sentiment.__file__).parent

LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "core": {"errors"},
    "session": {"errors", "core"},
    "reviews": {"errors", "core"},
    "text": {"errors", "core"},
    "balance": {"errors", "core"},
    "bias": {"errors", "core"},
    "embedding": {"errors", "core"},
    "classification": {"errors", "core", "text", "balance"},
    "tables": {"errors", "core", "reviews"},
    "sagemaker": {"errors", "core", "session"},
    "standin": {"errors", "sagemaker"},
}
"""What each package may import; the jobs may import all but the stand-in."""
LAYERS["jobs"] = set(LAYERS) - {"standin"}

ONLY = {
    "py4j": {"core.jvm"},
    "delta": {"tables.delta", "session"},
    "sparknlp": {"embedding.spark_nlp"},
    "openvino": {"embedding.engines"},
    "boto3": {"sagemaker.aws.clients", "standin.*"},
    "botocore": {
        "sagemaker.aws.clients",
        "sagemaker.aws.resources",
        "sagemaker.scoring.invoke",
        "standin.*",
    },
    "moto": {"standin.*"},
    "sklearn": {"standin.*"},
    "xgboost": {"standin.*"},
}
"""Libraries that a few modules alone may import."""


PRIVATE = {"_jvm", "_jsc", "_jdf", "_jdt", "_jsparkSession", "_jseq", "_jmap", "_gateway", "_jc"}
"""PySpark's private ways into the JVM. MLlib's own wrappers (``_java_obj``) are not among them:
`schema_after` and sagemaker_pyspark's estimators ask the Java object of a stage they are given."""

FORMATS = {"spark_sentiment.sagemaker.formats"}
"""A face of its own: what goes over the wire is written by one side and read by the other."""


def imports(module: Path) -> set[tuple[str, str]]:
    """Return what a file imports as (module, name); the name is empty for ``import module``."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {(node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return found


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): imports(path)
    for path in sorted(PACKAGE.rglob("*.py"))
}
OURS = {name: package for name in MODULES if (package := name.split(".")[0]) != "__init__"}


def imported_packages(name: str) -> set[str]:
    """Return the packages of ours that a module imports from."""
    found = set()
    for module, imported in MODULES[name]:
        parts = module.split(".")
        if parts[0] == "spark_sentiment":
            found.add(parts[1] if len(parts) > 1 else imported)
    return found - {""}


def test_every_package_has_a_layer() -> None:
    assert set(OURS.values()) == set(LAYERS)


@pytest.mark.parametrize("name", sorted(OURS))
def test_imports_point_one_way(name: str) -> None:
    assert imported_packages(name) - {OURS[name]} <= LAYERS[OURS[name]]


@pytest.mark.parametrize("name", sorted(OURS))
def test_other_packages_are_imported_through_their_face(name: str) -> None:
    past = {
        module
        for module, _ in MODULES[name]
        if module.startswith("spark_sentiment.")
        if module.split(".")[1] != OURS[name] and module.count(".") > 1
    } - FORMATS
    assert not past


def test_layers_have_no_circle() -> None:
    placed: set[str] = set()
    while ready := {name for name, below in LAYERS.items() if below <= placed} - placed:
        placed |= ready
    assert placed == set(LAYERS)


@pytest.mark.parametrize("library", sorted(ONLY))
def test_a_library_is_imported_by_its_own_module_alone(library: str) -> None:
    users = {
        name
        for name, found in MODULES.items()
        if any(module.split(".")[0] == library for module, _ in found)
    }
    assert users
    allowed = ONLY[library]
    assert not [name for name in users if not any(fnmatch(name, known) for known in allowed)]


@pytest.mark.parametrize("name", sorted(OURS))
def test_one_module_reaches_into_the_jvm(name: str) -> None:
    tree = ast.parse(PACKAGE.joinpath(*name.split(".")).with_suffix(".py").read_text())
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & PRIVATE
    imported = {module for module, _ in MODULES[name]}
    if name == "core.jvm":
        assert used
        assert "pyspark.java_gateway" in imported
    else:
        assert not used
        assert "pyspark.java_gateway" not in imported


def test_no_module_pickles() -> None:
    assert not [
        name
        for name, found in MODULES.items()
        if {module for module, _ in found} & {"pickle", "cloudpickle"}
    ]
