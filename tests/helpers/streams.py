"""A small model and files for the scoring job on a stream."""

from pathlib import Path

from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer

COLUMNS = "reviews.columns={review_text: text, review_id: id}"

# Says positive if the text has "love" in it.
_SAYS = """SELECT *, cast(null AS double) AS label, array(0.2D, 0.3D, 0.5D) AS probability,
  if(review_text LIKE '%love%', 2.0D, 0.0D) AS prediction FROM __THIS__"""


def save_model(folder: Path) -> str:
    """Save the model below `folder`; return its path."""
    path = str(folder / "model")
    PipelineModel([SQLTransformer(statement=_SAYS)]).save(path)
    return path


def put(inbox: Path, name: str, *texts: str) -> None:
    """Write a CSV file of reviews beside `inbox`, and move it there as a whole."""
    rows = [f"{name}-{place},{text}" for place, text in enumerate(texts)]
    half = inbox.with_name(f"{name}.part")
    half.write_text("\n".join(["id,text", *rows]) + "\n")
    half.rename(inbox / f"{name}.csv")
