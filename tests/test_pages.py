"""The pages under docs/ and README: examples run, links lead somewhere, lists are complete."""

import ast
import csv
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.readme import ROOT, blocks, commands
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import SparkSession

from spark_sentiment import errors
from spark_sentiment.jobs import config, runner, train
from spark_sentiment.reviews import generate_reviews
from spark_sentiment.tables import Run, Tables

PACKAGE = ROOT / "spark_sentiment"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ERRORS = {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.SentimentError)
}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def prose(text: str) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def by_page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def cells(text: str) -> list[list[str]]:
    """Return the rows of all tables of a page, without their heads."""
    rows = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [line.strip().strip("|").split(" | ") for line in table.splitlines()[2:]]
        rows += [[cell.strip() for cell in line] for line in lines]
    return rows


# README


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_and_the_index_link_every_page() -> None:
    others = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert others <= set(re.findall(r"\(docs/([\w-]+\.md)\)", (ROOT / "README.md").read_text()))
    assert others <= set(re.findall(r"\(([\w-]+\.md)\)", page("README.md")))


# Links


def anchors(path: Path) -> set[str]:
    """Return what a link can name on a page: its headings, as GitHub spells them."""
    found = re.findall(r"^#+ (.*)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("path", PAGES, ids=by_page)
def test_links_lead_to_a_file_and_a_heading(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text())):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", PAGES, ids=by_page)
def test_files_that_a_page_names_are_there(path: Path) -> None:
    text = path.read_text()
    found = re.findall(r"\b(?:tests|jobs|conf|docs)/[\w/.-]+\.(?:py|md|yaml|json|sh)(?!\w)", text)
    assert found or path.name not in ("README.md", "figures.md")
    for name in found:
        assert (ROOT / name).is_file(), name


# Python examples; README's and SageMaker's run in test_readme


EXAMPLES = [
    (path, place)
    for path in PAGES
    for place, _ in enumerate(blocks("python", path.read_text()))
    if path.name not in ("README.md", "sagemaker.md")
]


@pytest.fixture(scope="module")
def names(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples may take for granted: a session, reviews, and a run's tables and model."""
    folder = tmp_path_factory.mktemp("pages")
    reviews = generate_reviews(spark, 10)
    tables = Tables(spark, str(folder / "output"))
    with Run(tables, "RUN", {}) as run:
        rows = reviews.limit(3).selectExpr(
            "review_id", "'m' model", "2.0D label", "2.0D prediction", "null probability"
        )
        run.append("predictions", rows)
    # What a model adds, without what it costs.
    sql = "SELECT *, 2.0D prediction, array(0.0D, 0.0D, 1.0D) probability FROM __THIS__"
    made = PipelineModel([SQLTransformer(statement=sql)])
    made.write().save(str(folder / "output" / "models" / "RUN"))
    return {"spark": spark, "reviews": reviews, "folder": folder}


@pytest.mark.parametrize(("path", "place"), EXAMPLES, ids=lambda it: getattr(it, "name", it))
def test_python_examples_run(path: Path, place: int, names: dict[str, Any]) -> None:
    # Java has a working directory of its own: the folder is named in full.
    folder = f'"{names["folder"]}/output'
    example = blocks("python", path.read_text())[place].replace('"output', folder)
    exec(compile(example, f"{path.name}, example {place}", "exec"), dict(names))


# Commands


NOT_RUN = {
    ("pip", "install"): "the tests run in what it installs; what follows && is run in test_jobs",
    ("uv", "run", "pytest"): "it is what runs this test",
    ("uv", "run", "ruff"): "a check of .ci/run",
    ("uv", "run", "mypy"): "a check of .ci/run",
    ("uv", "run", "python", "-m", "spark_sentiment.standin"): "serves until it is stopped",
    ("uv", "run", "jobs/"): "jobs run in test_jobs; below, their files, keys and options",
    ("spark-submit",): "needs a cluster; below, its file and keys",
    ("git", "archive"): "makes a file of the whole repository",
    ("aws",): "needs an account of AWS",
}
"""Commands that no test runs as they stand, by their first words, and why."""


def known(words: list[str]) -> bool:
    return any(
        len(words) >= len(first)
        and all(word.startswith(start) for word, start in zip(words, first, strict=False))
        for first in NOT_RUN
    )


@pytest.mark.parametrize("path", PAGES, ids=by_page)
def test_every_command_is_known_and_its_keys_exist(path: Path) -> None:
    for words in filter(None, commands(path.read_text())):
        assert known(words), words
        place = next((i for i, word in enumerate(words) if "jobs/" in word), None)
        if place is None:
            continue
        job, *rest = words[place:]
        assert (ROOT / job.removeprefix("/opt/spark_sentiment/")).is_file()
        if job == "jobs/endpoints.py":  # it has options in place of a configuration
            asked = [sys.executable, job, *rest, "--help"]
            assert subprocess.run(asked, cwd=ROOT, capture_output=True).returncode == 0
            continue
        settings = [value for key, value in itertools.pairwise(words) if key == "--set"]
        config.load(ROOT / rest[0].removeprefix("/opt/spark_sentiment/"), settings)


def test_the_pages_show_each_job() -> None:
    words = {word for path in PAGES for command in commands(path.read_text()) for word in command}
    assert {f"jobs/{name.name}" for name in (ROOT / "jobs").glob("*.py")} <= words


@pytest.mark.long
def test_the_command_for_other_column_names_runs(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command as it stands but for its folders; the data has the columns it names alone."""
    section = page("configuration.md").partition("## Other column names")[2]
    words = commands(section)[0]
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["body", "stars", "age"])
        rows = generate_reviews(spark, 120).select("review_text", "rating", "age").collect()
        writer.writerows(rows)
    assert words[:4] == ["uv", "run", "jobs/train.py", "conf/local.yaml"]
    placed = [word.replace("=reviews.csv", f"={tmp_path}/reviews.csv") for word in words[4:]]
    given = [str(ROOT / words[3]), *placed, "--set", f"output.base={tmp_path}/output"]
    assert runner.run("train", train.main, given) == runner.OK
    said = capsys.readouterr().out
    assert "Rows: 120 read" in said
    assert f"Tables: {tmp_path}/output" in said


# Configuration


def flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key of base.yaml with its default; an empty mapping is a value."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def test_the_page_lists_every_key_with_its_default() -> None:
    base = yaml.safe_load((ROOT / "conf" / "base.yaml").read_text())
    keys = page("configuration.md").partition("\n## Keys\n")[2]
    listed = {
        row[0].strip("`"): yaml.safe_load(row[1].strip("`")) for row in cells(keys) if len(row) > 2
    }
    assert listed == dict(flat(base))


def test_the_page_lists_the_exit_codes() -> None:
    section = page("configuration.md").partition("## Exit codes")[2].partition("## ")[0]
    codes = {int(row[0]) for row in cells(section)}
    names = ("OK", "CRASHED", "REFUSED", "GATE_BROKEN", "LEFT_OVER", "INTERRUPTED")
    assert codes == {getattr(runner, name) for name in names}


# Architecture


def test_the_architecture_names_every_package_and_module_at_its_place() -> None:
    tree = blocks("text", page("architecture.md"))[0]
    listed: set[str] = set()
    above: list[str] = []
    for line in tree.splitlines():
        entry = re.match(r"^( *)([\w.]+/?)(?: {2,}|$)", line)
        if entry is None or len(entry[1]) > 6:
            continue  # a line that goes on with what the one above says
        above = [*above[: len(entry[1]) // 2], entry[2].rstrip("/")]
        listed.add("/".join(above))
    folders = {by_page(path.parent) for path in PACKAGE.rglob("__init__.py")}
    files = {by_page(path) for path in PACKAGE.glob("*.py")} - {"spark_sentiment/__init__.py"}
    ours = {name for name in listed if name.startswith("spark_sentiment")}
    assert ours == folders | files
    assert all((ROOT / name).exists() for name in listed)


# Messages


BUILDERS = {
    ("tables/errors.py", "_told"): ("TableError", "<>: "),
    ("tables/errors.py", "_broken"): ("TableError", "<>: "),
    ("tables/errors.py", "told"): ("TableError", "<>: "),
    ("reviews/faults.py", "_told"): ("DataError", ""),
    ("sagemaker/scoring/model.py", "_gone"): ("SageMakerError", ""),
    ("bias/gates.py", "describe"): ("GateError", ""),
    ("jobs/config.py", "_explained"): ("ConfigError", "<>: <>: "),
}
"""Functions that return a message, or what it says, for a raise elsewhere."""

MISSING = ("embedding/checkpoint.py", "_missing")
"""It returns what was found and the advice."""


def template(node: ast.expr) -> str | None:
    """Return the text of a message with ``<>`` for each value that it fills in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (v.value if isinstance(v, ast.Constant) else "<>" for v in node.values)
        return "".join(map(str, parts))
    return None


def name_of(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def raised(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each error that a file of the package raises, as its class and its message."""
    inside = file.relative_to(PACKAGE).as_posix()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            said = [template(argument) for argument in node.args]
            if name_of(node.func) in ERRORS and said[0] is not None:
                yield name_of(node.func), said[0]
            elif name_of(node.func) in ("failure", "_failure") and len(said) >= 3:
                part, found, advice = (text or "<>" for text in said[-3:])
                yield "CheckpointError", f"checkpoint <>: {part} {found}; {advice}"
            elif inside == "jobs/config.py" and name_of(node.func) == "ValueError" and said[0]:
                yield "ConfigError", f"<>: <>: {said[0]}"
        elif isinstance(node, ast.FunctionDef) and (inside, node.name) == MISSING:
            for part in ast.walk(node):
                if isinstance(part, ast.Return) and isinstance(part.value, ast.Tuple):
                    found, advice = (template(text) or "<>" for text in part.value.elts)
                    yield "CheckpointError", f"checkpoint <>: <> {found}; {advice}"
        elif isinstance(node, ast.FunctionDef) and (inside, node.name) in BUILDERS:
            kind, before = BUILDERS[inside, node.name]
            for part in ast.walk(node):
                value = part.value if isinstance(part, ast.Return | ast.Assign) else None
                if value is not None and (text := template(value)) is not None:
                    yield kind, before + text


def same_holes(text: str) -> str:
    """Return a message with ``<>`` for each run of placeholders."""
    return re.sub(r"(?:<[^<>`]*>)+", "<>", text)


def raised_everywhere() -> set[tuple[str, str]]:
    files = [file for file in PACKAGE.rglob("*.py") if "standin" not in file.parts]
    return {(kind, same_holes(text)) for file in files for kind, text in raised(file)}


def listed_messages() -> set[tuple[str, str]]:
    found = set()
    for section in page("messages.md").split("\n## ")[1:]:
        before = section.partition("\n|")[0]
        default = next((name for name in re.findall(r"`(\w+)`", before) if name in ERRORS), "")
        for row in cells(section):
            kind = row[1].strip("`") if len(row) == 4 else default
            found.add((kind, same_holes(row[0].strip("`"))))
    return found


def test_every_message_on_the_page_is_raised() -> None:
    assert not listed_messages() - raised_everywhere()


def test_every_message_that_is_raised_is_on_the_page() -> None:
    inner = {  # texts that stand inside others on the page
        ("GateError", "<> in <>, <>"),
        ("GateError", "undefined"),
        ("GateError", ""),
        ("GateError", "(-inf"),
        ("GateError", "inf)"),
    }
    missing = raised_everywhere() - listed_messages() - inner
    assert not {(kind, text) for kind, text in missing if re.search(r"\w{3}", text)}


def test_every_error_named_on_the_page_exists() -> None:
    named = set(re.findall(r"`(\w+Error)`", page("messages.md"))) - {"TypeError"}
    assert named <= ERRORS
    assert ERRORS - {"SentimentError"} <= named
