"""Reviews: reading, checks, labels and splits.

`read_reviews` reads CSV files, `read_json` JSON lines, `read_folders` folders of texts, and
`from_frame` any table; all return unusable rows separately, with the reason. `RatingScale` says how
other data rates; `inspect_reviews` looks at a sample, and guesses how to read the data. `read_csv`
and `read_parquet` read tables that are not reviews; `reading_errors` names the file that an action
on them cannot read. `new_files` yields the new files of a folder, batch by batch.
`generate_reviews` generates synthetic reviews with a known bias. `RatingLabeler` turns a rating
into a class. `split_by_text` splits a table so that equal texts stay together.
"""

from spark_sentiment.reviews.arrivals import Batch, new_files
from spark_sentiment.reviews.checks import from_frame
from spark_sentiment.reviews.csv_files import read_csv, read_reviews, write_csv
from spark_sentiment.reviews.faults import reading_errors
from spark_sentiment.reviews.inspection import ColumnFound, Inspection, inspect_reviews
from spark_sentiment.reviews.labels import SENTIMENTS, RatingLabeler
from spark_sentiment.reviews.ratings import RatingScale
from spark_sentiment.reviews.results import ReadCounts, ReadResult
from spark_sentiment.reviews.schema import OURS, REJECTED, REVIEWS, WOMENS_CLOTHING, ColumnMapping
from spark_sentiment.reviews.sources import read_folders, read_json, read_parquet
from spark_sentiment.reviews.split import split_by_text, text_place
from spark_sentiment.reviews.synthetic import generate_reviews

__all__ = [
    "OURS",
    "REJECTED",
    "REVIEWS",
    "SENTIMENTS",
    "WOMENS_CLOTHING",
    "Batch",
    "ColumnFound",
    "ColumnMapping",
    "Inspection",
    "RatingLabeler",
    "RatingScale",
    "ReadCounts",
    "ReadResult",
    "from_frame",
    "generate_reviews",
    "inspect_reviews",
    "new_files",
    "read_csv",
    "read_folders",
    "read_json",
    "read_parquet",
    "read_reviews",
    "reading_errors",
    "split_by_text",
    "text_place",
    "write_csv",
]
