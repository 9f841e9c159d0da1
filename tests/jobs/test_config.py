"""A wrong configuration fails at once, and says which key of which file."""

from pathlib import Path

import pytest
import yaml

from spark_sentiment.errors import ConfigError
from spark_sentiment.jobs.config import Config, load

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text((CONF / "base.yaml").read_text())
    return tmp_path


@pytest.mark.parametrize("name", ["base.yaml", "local.yaml", "emr.yaml"])
def test_shipped_files_are_complete_and_valid(name: str) -> None:
    assert isinstance(load(CONF / name), Config)


def test_base_yaml_explains_every_key() -> None:
    lines = [line for line in (CONF / "base.yaml").read_text().splitlines() if ":" in line]
    headings = [f"{name}:" for name in Config.model_fields] + ["generated:"]
    bare = [line.strip() for line in lines if "#" not in line and line.strip() not in headings]
    # The facets' items are explained by the line above them.
    assert [line for line in bare if not line.startswith("- {column:")] == []


def test_set_beats_the_file_and_the_file_beats_the_base(folder: Path) -> None:
    (folder / "mine.yaml").write_text("split: {test: 0.3, seed: 1}\n")
    conf = load(folder / "mine.yaml", ["split.seed=5"])
    assert (conf.split.test, conf.split.seed, conf.embedding.batch_size) == (0.3, 5, 32)


def test_free_keys_are_replaced_whole(folder: Path) -> None:
    (folder / "mine.yaml").write_text("reviews: {columns: {rating: stars, review_text: body}}\n")
    conf = load(folder / "mine.yaml", ["reviews.columns={rating: score, review_text: text}"])
    assert conf.reviews.columns == {"rating": "score", "review_text": "text"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("reviews.pth=x", r"--set reviews.pth: reviews.pth: unknown key; reviews has: path"),
        ("split.test=1.5", r"split.test: Input should be less than 1, found 1.5"),
        ("reviews.generated.rows=many", r"reviews.generated.rows: .*integer, found 'many'"),
        ("bias.facets=[{column: a, treshold: 3}]", r"bias.facets.0.treshold: unknown key"),
        ("reviews.delimiter=ab", r"reviews.delimiter: String should match pattern"),
        ("reviews={format: delta, path: [a, b]}", r"reviews: a Delta table is one folder"),
        ("bias.gates=[{metric: DPL}]", r"bias.gates.0: a gate needs low, high or both"),
        ("labels.negative_max=9", r"labels: negative_max must be below positive_min"),
        ("features=[]", r"features: .*at least 1 item"),
        ("run.id=../x", r"run.id: .*pattern"),
        ("nonsense", r"--set nonsense: expected section.key=value"),
        ("spark.conf={fs.s3a.secret.key: hush}", r"spark: fs.s3a.secret.key is a secret"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(CONF / "local.yaml", [setting])


def test_the_value_of_a_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load(CONF / "local.yaml", ["spark.conf={fs.s3a.secret.key: 'hush hush'}"])
    assert "hush" not in str(caught.value)


def test_the_file_that_holds_a_wrong_key_is_named(folder: Path) -> None:
    (folder / "mine.yaml").write_text("embedding: {engin: openvino}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml: embedding.engin: unknown key"):
        load(folder / "mine.yaml")


def test_a_key_missing_from_base_is_named(folder: Path) -> None:
    content = yaml.safe_load((folder / "base.yaml").read_text())
    del content["split"]["seed"]
    (folder / "base.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"split.seed: missing"):
        load(folder / "base.yaml")


@pytest.mark.parametrize(
    ("content", "says"),
    [("a: [1", r"line \d+: not valid YAML"), ("- 1", "expected keys and values")],
)
def test_a_file_that_is_no_mapping_is_refused(folder: Path, content: str, says: str) -> None:
    (folder / "mine.yaml").write_text(content)
    with pytest.raises(ConfigError, match=rf"mine.yaml.*{says}"):
        load(folder / "mine.yaml")


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: no such configuration file"):
        load(folder / "none.yaml")
