"""Reviews: reading, checks, labels and splits.

`read_reviews` reads CSV files and `from_frame` any table; both return unusable rows separately,
with the reason. `generate_reviews` generates synthetic reviews with a known bias. `RatingLabeler`
turns a rating into a class. `split_by_text` splits a table so that equal texts stay together.
"""

from spark_sentiment.reviews.checks import from_frame
from spark_sentiment.reviews.csv_files import read_reviews, write_csv
from spark_sentiment.reviews.labels import SENTIMENTS, RatingLabeler
from spark_sentiment.reviews.results import ReadCounts, ReadResult
from spark_sentiment.reviews.schema import OURS, REJECTED, REVIEWS, WOMENS_CLOTHING, ColumnMapping
from spark_sentiment.reviews.split import split_by_text, text_place
from spark_sentiment.reviews.synthetic import generate_reviews

__all__ = [
    "OURS",
    "REJECTED",
    "REVIEWS",
    "SENTIMENTS",
    "WOMENS_CLOTHING",
    "ColumnMapping",
    "RatingLabeler",
    "ReadCounts",
    "ReadResult",
    "from_frame",
    "generate_reviews",
    "read_reviews",
    "split_by_text",
    "text_place",
    "write_csv",
]
