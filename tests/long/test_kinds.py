"""The commands of docs/your-data.md train on the files in tests/data, with every row of them."""

from pathlib import Path

import pytest
from helpers.kinds import KINDS
from helpers.readme import ROOT, commands
from pyspark.sql import SparkSession

from spark_sentiment.jobs import config, train

pytestmark = pytest.mark.long

TRAIN = ["uv", "run", "jobs/train.py", "conf/local.yaml"]
PAGE = (ROOT / "docs" / "your-data.md").read_text()
GIVEN = {
    Path(words[5].partition("=")[2]).name: words[5::2]
    for words in commands(PAGE)
    if words[:5] == [*TRAIN, "--set"] and words[5].startswith("reviews.path=tests/data/")
}


def test_the_page_has_a_command_for_each_kind() -> None:
    assert set(GIVEN) == set(KINDS)


@pytest.mark.parametrize("name", GIVEN)
def test_training_takes_every_row(spark: SparkSession, tmp_path: Path, name: str) -> None:
    _, classes = KINDS[name]
    path, *others = GIVEN[name]
    placed = path.replace("tests/data", str(ROOT / "tests" / "data"))
    given = [placed, f"output.base={tmp_path}", "features=[tfidf]", *others]
    trained = train.train(config.load(ROOT / "conf" / "local.yaml", given), spark)
    assert trained.learned.classes == classes
    assert trained.intake.rejected == (name == "shop.csv")  # one text of the shop is empty
    predicted = {label for label in range(3) if trained.learned.confusion.predicted(label)}
    assert predicted <= {label for label in range(3) if classes[label]}
