"""Names that the columns of reviews have in public data."""

import re

_NAMES = {
    "review_text": "reviewtext reviewbody review reviews text body content comment comments "
    "reviewcontent verifiedreviews reviewdescription description feedback tweet sentence message",
    "rating": "rating ratings stars star starrating score overall rate reviewrating reviewscore "
    "overallrating reviewerscore sentiment label polarity target",
    "title": "title reviewtitle summary headline reviewheadline subject reviewsummary heading",
    "review_id": "reviewid id uuid",
    "product_id": "productid asin itemid clothingid product productname item appid app hotel "
    "hotelname businessid",
    "age": "age reviewerage userage",
    "recommended": "recommended recommendedind isrecommended recommend",
    "positive_feedback_count": "positivefeedbackcount helpful helpfulvotes helpfulcount "
    "helpfulvote thumbsup thumbsupcount votes vote",
    "division": "division divisionname",
    "department": "department departmentname category productcategory maincategory",
    "class_name": "classname subcategory",
}
OUR_NAMES = {name: ours for ours, names in _NAMES.items() for name in names.split()}
"""Simple form of a name -> our name."""

POINTS = set(_NAMES["rating"].split()) - {"sentiment", "label", "polarity", "target"}
"""Names of columns that hold stars or points, and no number of a class."""


def simple(name: str) -> str:
    """Return a name without case, spaces and signs."""
    return re.sub(r"[\W_]+", "", name).lower()
