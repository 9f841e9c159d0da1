"""Look at a sample of other people's reviews, and guess how to read them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession
from pyspark.sql import types as T

from spark_sentiment.core import is_name, jvm
from spark_sentiment.errors import DataError
from spark_sentiment.reviews import files
from spark_sentiment.reviews.checks import RANGES, from_frame
from spark_sentiment.reviews.labels import SENTIMENTS
from spark_sentiment.reviews.public_names import OUR_NAMES, POINTS, simple
from spark_sentiment.reviews.ratings import RatingScale, as_number, is_number
from spark_sentiment.reviews.results import ReadCounts
from spark_sentiment.reviews.samples import Sample, of_csv, of_json, of_table
from spark_sentiment.reviews.schema import REVIEWS, WOMENS_CLOTHING, Columns
from spark_sentiment.reviews.sources import folder_of, read_parquet

_FILES, _MOST_FACETS = 8, 50
_YES_NO = {"0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f"}
_DEFAULT = {ours: theirs[0] for ours, theirs in WOMENS_CLOTHING.named().items()}
_LONG = 20  # mean number of characters from which a column may hold the reviews' texts

_PAIRS = (("pros", "cons"), ("positivereview", "negativereview"), ("likes", "dislikes"))
_ENDS = ((0, 1), (-1, 1), (1, 5), (0, 5), (1, 10), (0, 10), (1, 100), (0, 100))


@dataclass(frozen=True)
class ColumnFound:
    """A column of the sample.

    Attributes
    ----------
    name : str
        Name in the data.
    filled : float
        Share of the rows with a value.
    values : str
        What the values are, such as ``numbers 1 to 5``; never a value of a text.
    ours : str
        Our name, if the column is used; '' otherwise.
    """

    name: str
    filled: float
    values: str
    ours: str = ""


@dataclass(frozen=True)
class Inspection:
    """What `inspect_reviews` found.

    Attributes
    ----------
    format : str
        csv, tsv, json, parquet, delta or folders.
    about : str
        The files, for people: number, encoding, delimiter.
    settings : dict of str to object
        Keys of the configuration that differ from their defaults, and their values.
    columns : tuple of ColumnFound
        The columns; empty for folders.
    counts : ReadCounts or None
        Counts of the sample's rows under these settings; None if no text was found.
    classes : tuple of int
        Rows of the sample in each class of `SENTIMENTS`.
    advice : tuple of str
        What a person has to decide.
    """

    format: str
    about: str
    settings: dict[str, object]
    columns: tuple[ColumnFound, ...]
    counts: ReadCounts | None
    classes: tuple[int, ...]
    advice: tuple[str, ...] = ()


def inspect_reviews(spark: SparkSession, path: str | Sequence[str]) -> Inspection:
    r"""Guess from a sample how to read reviews: format, encoding, columns, scale of the rating.

    Parameters
    ----------
    spark : SparkSession
        Session to read with.
    path : str or sequence of str
        File, folder or pattern, as for `read_reviews`.

    Returns
    -------
    Inspection

    Raises
    ------
    DataError
        If there is no file, all are empty, or the content is of a kind that is not read.

    Notes
    -----
    Columns are recognised by the names that public data has, and by their values. At most 1,000
    rows, from the first megabyte of each of the first eight files, come to the driver. One Spark
    job checks them as `read_reviews` does.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> file = Path(mkdtemp(), "reviews.csv")
    >>> rows = ["Score;Review", "9;Soft and warm, I wear it a lot", "2;It tore on the first day"]
    >>> _ = file.write_text("\n".join(rows))
    >>> inspect_reviews(spark, str(file)).settings["reviews.columns"]
    {'review_text': 'Review', 'rating': 'Score'}
    """
    paths = files.listed(path)
    if len(paths) == 1 and jvm.file_exists(spark, f"{paths[0].rstrip('/')}/_delta_log"):
        table = spark.read.format("delta").load(paths[0])
        return _looked(spark, of_table(table, "delta", "a Delta table"))
    found, _ = files.find_files(spark, paths, "review", nested=True)
    if (
        found[0]
        .lower()
        .endswith((".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar", ".xlsx", ".xls"))
    ):
        raise DataError(
            f"reviews: {files.told(paths)}: an archive or a workbook is not read; unpack it, or "
            "save it as CSV"
        )
    if _are_folders(found):
        return _of_folders(found)
    starts = files.read_starts(spark, found[:_FILES])
    if not starts:
        raise DataError(
            f"reviews: {files.told(paths)} holds only empty files; name a path that has reviews"
        )
    start = next(iter(starts.values()))
    if start.startswith(b"PAR1"):
        return _looked(spark, of_table(read_parquet(spark, paths), "parquet", _told(found)))
    longer = [files.read_start(spark, file, files.LONG_START) for file in starts]
    encodings = files.encodings(spark, dict(zip(starts, longer, strict=True)), None)
    texts = [
        _whole_lines(jvm.decode(spark, data, name), len(data) == files.LONG_START)
        for data, name in zip(longer, encodings.values(), strict=True)
    ]
    about = f"{_told(found)}, {files.told_encodings(encodings).removeprefix('encoding detected: ')}"
    first = texts[0].lstrip()
    if first.startswith(("{", "[")):
        return _looked(spark, of_json(texts, about, files.told(paths)))
    return _looked(spark, of_csv(texts, about))


# Files


def _told(found: Sequence[str]) -> str:
    return "1 file" if len(found) == 1 else f"{len(found):,} files"


def _whole_lines(text: str, cut: bool) -> str:
    text = text.removeprefix("\ufeff")
    return text[: text.rfind("\n") + 1] if cut and "\n" in text else text


def _are_folders(found: Sequence[str]) -> bool:
    """Tell whether most files are texts in folders with the names of classes."""
    folders = Counter(map(folder_of, found))
    named = sum(n for folder, n in folders.items() if RatingScale().holds(folder))
    plain = all(
        file.lower().endswith(".txt") or "." not in file.rpartition("/")[2] for file in found
    )
    return plain and named > len(found) / 2


def _of_folders(found: Sequence[str]) -> Inspection:
    scale = RatingScale()
    stars = {str(n): n for n in range(1, 6)}
    names = scale.classes()
    classes = [0] * len(SENTIMENTS)
    others = 0
    for folder, n in Counter(folder_of(file).strip().lower() for file in found).items():
        if folder in names:
            classes[SENTIMENTS.index(names[folder])] += n
        elif folder in stars:
            classes[_class_of_stars(stars[folder])] += n
        else:
            others += n
    reasons = {"rating: not a number or a class": others} if others else {}
    return Inspection(
        "folders",
        f"{_told(found)} of text in folders",
        {"reviews.format": "folders"},
        (),
        ReadCounts(len(found), reasons),
        tuple(classes),
    )


def _class_of_stars(stars: int) -> int:
    """Return the class of whole stars by the default bounds, as an index into `SENTIMENTS`."""
    return (stars > 2) + (stars > 3)


# Columns


def _looked(spark: SparkSession, sample: Sample) -> Inspection:
    """Find the columns of the sample, and check its rows with them."""
    values = [sample.values(i) for i in range(len(sample.names))]
    columns = _columns(sample, values)
    scale, names, advice = _rating(sample, columns.get("rating"))
    mapping: dict[str, str | Sequence[str] | None] = {
        ours: sample.names[at[0]] if len(at) == 1 else [sample.names[i] for i in at]
        for ours, at in columns.items()
    }
    settings = dict(sample.settings)
    if sample.format != "csv" or mapping != _DEFAULT:
        settings["reviews.columns"] = mapping
    if scale != RatingScale():
        settings["labels.scale"] = scale.span
    if names:
        settings["labels.names"] = names
    used = {i: ours for ours, at in columns.items() for i in at}
    described = tuple(
        ColumnFound(
            name if is_name(name) else f"column {i + 1}",
            len(cells) / max(len(sample.rows), 1),
            _described(cells),
            used.get(i, ""),
        )
        for i, (name, cells) in enumerate(zip(sample.names, values, strict=True))
    )
    twice = [name for name in mapping.values() if sample.names.count(str(name)) > 1]
    if twice:
        advice.append(f"column '{twice[0]}' occurs more than once; give each a name of its own")
    if "review_text" not in columns:
        advice.append("no column looks like a text; name it in reviews.columns as review_text")
    counts, classes = None, (0,) * len(SENTIMENTS)
    if "review_text" in columns and not twice and sample.rows:
        counts, classes = _counted(
            spark, sample, mapping, RatingScale(scale.low, scale.high, names)
        )
    return Inspection(
        sample.format, sample.about, settings, described, counts, classes, tuple(advice)
    )


def _columns(sample: Sample, values: Sequence[list[str]]) -> dict[str, list[int]]:
    """Find the columns of the sample that have a meaning for us: our name -> places."""
    keys = [simple(name) for name in sample.names]
    long = {i: _mean_length(cells) for i, cells in enumerate(values) if not _are_numbers(cells)}
    found: dict[str, list[int]] = {}
    for pair in _PAIRS:
        if all(name in keys for name in pair):
            found["review_text"] = [keys.index(name) for name in pair]
    texts = [i for i, key in enumerate(keys) if OUR_NAMES.get(key) in ("review_text", "title")]
    # Shops call the title of a review "review" and its text "summary": the longer one is the text.
    texts = [i for i in texts if i in long] or [i for i in long if long[i] >= _LONG]
    if "review_text" not in found and texts:
        found["review_text"] = [max(texts, key=lambda i: long[i])]
    taken = set(found.get("review_text", ()))
    for i, key in enumerate(keys):
        ours = OUR_NAMES.get(key)
        if ours == "review_text" and "title" not in found and i in texts and len(texts) == 2:
            ours = "title"
        if ours and ours not in found and i not in taken and _can_be(ours, values[i], sample):
            found[ours] = [i]
            taken.add(i)
    if "rating" not in found:
        rated = [i for i in range(len(keys)) if i not in taken and _rates(values[i])]
        if len(rated) == 1:
            found["rating"] = rated
    return {name: found[name] for name in REVIEWS.names if name in found}


def _can_be(ours: str, cells: list[str], sample: Sample) -> bool:
    """Tell whether the values can be those of our column."""
    if not cells:
        return False
    if ours == "rating":
        return _are_numbers(cells) or len({cell.lower() for cell in cells}) <= 6
    if ours == "review_id":
        return len(set(cells)) == len(cells) == len(sample.rows)
    if ours in RANGES:
        low, high = RANGES[ours]
        numbers = [as_number(cell) for cell in cells] if _are_numbers(cells) else [-1.0]
        return all(low <= number <= high and number == int(number) for number in numbers)
    if ours == "recommended":
        return {cell.lower() for cell in cells} <= _YES_NO
    if ours in ("division", "department", "class_name"):  # these are facets, which have few values
        return len(set(cells)) <= _MOST_FACETS
    return ours != "review_text"


def _mean_length(cells: list[str]) -> float:
    return sum(map(len, cells)) / len(cells) if cells else 0.0


def _are_numbers(cells: list[str]) -> bool:
    return bool(cells) and all(map(is_number, cells))


def _rates(cells: list[str]) -> bool:
    """Tell whether values are stars or names of classes, whatever their column is called."""
    kinds = {cell.lower() for cell in cells}
    if not 2 <= len(kinds) <= 10:
        return False
    return all(map(RatingScale(0, 10).holds, kinds)) or _classes_of(kinds) is not None


def _classes_of(kinds: set[str]) -> dict[str, str] | None:
    """Return the class that each name contains, as 'very negative' does; None if one has none."""
    found: dict[str, str] = {}
    for name in sorted(kinds):
        inside = [its for its in SENTIMENTS if its[:3] in name]
        if len(inside) != 1:
            return None
        found[name] = inside[0]
    return found


def _rating(
    sample: Sample, at: Sequence[int] | None
) -> tuple[RatingScale, dict[str, str], list[str]]:
    """Guess the scale of the rating and the names of its classes; say what a person must decide."""
    if not at:
        return RatingScale(), {}, ["no column looks like a rating; training needs one"]
    name = sample.names[at[0]]
    cells = sample.values(at[0])
    kinds = {cell.lower() for cell in cells}
    if not _are_numbers(cells):
        unknown = {kind for kind in kinds if not RatingScale().holds(kind)}
        guessed = _classes_of(unknown)
        if guessed is not None:
            return RatingScale(), guessed, []
        return (
            RatingScale(),
            {},
            [
                f"column '{name}' names other classes than negative, neutral and positive; set "
                "labels.names, such as {good: positive, bad: negative}"
            ],
        )
    numbers = [as_number(cell) for cell in cells]
    low, high = min(numbers), max(numbers)
    # Up to three values are classes, unless their column is named as stars or points are.
    if len(set(numbers)) <= 3 and low < high and simple(name) not in POINTS:
        return RatingScale(low, high), {}, []
    for ends in _ENDS:
        if ends[0] <= low and high <= ends[1]:
            return RatingScale(*ends), {}, []
    return (
        RatingScale(low, high),
        {},
        [f"column '{name}' has numbers from {low:g} to {high:g}; set labels.scale to its scale"],
    )


def _described(cells: list[str]) -> str:
    """Say what the values of a column are, without a text."""
    if not cells:
        return "empty"
    kinds = {cell.lower() for cell in cells}
    if _are_numbers(cells):
        numbers = [as_number(cell) for cell in cells]
        return f"numbers {min(numbers):,.10g} to {max(numbers):,.10g}"
    if all(RatingScale().holds(kind) for kind in kinds):
        return f"classes {', '.join(sorted(kinds))}"
    different = f"{len(kinds):,} different values" if len(kinds) > 1 else "1 value"
    return f"{different}, mean length {_mean_length(cells):,.0f}"


def _counted(
    spark: SparkSession,
    sample: Sample,
    mapping: Columns,
    scale: RatingScale,
) -> tuple[ReadCounts, tuple[int, ...]]:
    """Check the sample as a reader does; return counts, and rows of each class."""
    schema = T.StructType([T.StructField(name, T.StringType()) for name in sample.names])
    df = spark.createDataFrame(sample.rows, schema)
    found = from_frame(df, mapping, require_rating="rating" in mapping, scale=scale)
    stars = found.rows.groupBy("reason", "rating").count().collect()
    reasons: Counter[str] = Counter()
    classes = [0] * len(SENTIMENTS)
    for row in stars:
        if row.reason is not None:
            reasons[row.reason] += row["count"]
        elif row.rating is not None:
            classes[_class_of_stars(row.rating)] += row["count"]
    return ReadCounts(len(sample.rows), dict(reasons.most_common())), tuple(classes)
