"""The files of other people's kinds in tests/data, and what a look at each must find."""

from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
GOODS = {"product_id": "asin", "title": "summary", "review_text": "reviewText", "rating": "overall"}

# File -> settings, and the number of negative, neutral and positive reviews.
KINDS: dict[str, tuple[dict[str, object], tuple[int, int, int]]] = {
    "shop.csv": (
        {
            "reviews.columns": {
                "product_id": "ProductName",
                "title": "Review",
                "review_text": "Summary",
                "rating": "Rate",
            }
        },
        (15, 15, 29),
    ),
    "speaker.tsv": (
        {
            "reviews.format": "tsv",
            "reviews.columns": {"review_text": "verified_reviews", "rating": "rating"},
        },
        (20, 10, 30),
    ),
    "apps.csv": (
        {
            "reviews.columns": {
                "product_id": "App",
                "review_text": "Translated_Review",
                "rating": "Sentiment",
            }
        },
        (24, 12, 24),
    ),
    "hotels.csv": (
        {
            "reviews.delimiter": ";",
            "reviews.columns": {
                "product_id": "Hotel Name",
                "age": "Age",
                "review_text": ["Pros", "Cons"],
                "rating": "Reviewer_Score",
            },
            "labels.scale": "1..10",
        },
        (15, 15, 30),
    ),
    "two_classes.csv": (
        {
            "reviews.escape": "\\",
            "reviews.header": False,
            "reviews.columns": {"review_text": "_c2", "rating": "_c0"},
            "labels.scale": "1..2",
        },
        (30, 0, 30),
    ),
    "messages.csv": (
        {
            "reviews.header": False,
            "reviews.columns": {"review_text": "_c5", "rating": "_c0"},
            "labels.scale": "0..4",
        },
        (20, 0, 40),
    ),
    "goods.jsonl.gz": (
        {
            "reviews.format": "json",
            "reviews.columns": {**GOODS, "positive_feedback_count": "vote"},
        },
        (12, 12, 36),
    ),
    "films": ({"reviews.format": "folders"}, (20, 0, 20)),
}
