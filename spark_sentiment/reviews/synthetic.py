"""Generate synthetic reviews inside Spark: seeded, of any size, with a known bias.

Each row is a function of the seed and its number only, so a table is the same on a laptop and on
a cluster, for any partitioning. Words correlate with the rating, but not strictly: some reviewers
praise an item and rate it low, and many sentences are neutral. Shares of ratings, ages and
departments are like those of a clothing shop. All sentences were written for this module.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

from pyspark.sql import DataFrame, SparkSession

from spark_sentiment.errors import ConfigError
from spark_sentiment.reviews.phrases import COLORS, EXTRAS, PREDICATES, STATEMENTS, SUBJECTS, TITLES
from spark_sentiment.reviews.schema import REVIEWS

RATINGS = (0.036, 0.067, 0.122, 0.216, 0.559)
"""Probabilities of 1 to 5 stars."""

_Class = tuple[str, str, str, str, int]
# Division, department, class, name of the item in a review, weight.
_CLASSES: list[_Class] = [
    ("General", "Dresses", "Dresses", "dress", 159),
    ("General Petite", "Dresses", "Dresses", "dress", 110),
    ("General", "Tops", "Knits", "knit top", 139),
    ("General Petite", "Tops", "Knits", "knit top", 67),
    ("General", "Tops", "Blouses", "blouse", 85),
    ("General Petite", "Tops", "Blouses", "blouse", 47),
    ("General", "Tops", "Sweaters", "sweater", 38),
    ("General Petite", "Tops", "Sweaters", "sweater", 23),
    ("General", "Tops", "Fine gauge", "cardigan", 29),
    ("General Petite", "Tops", "Fine gauge", "cardigan", 18),
    ("General", "Bottoms", "Pants", "pair of pants", 36),
    ("General Petite", "Bottoms", "Pants", "pair of pants", 24),
    ("General", "Bottoms", "Jeans", "pair of jeans", 34),
    ("General Petite", "Bottoms", "Jeans", "pair of jeans", 15),
    ("General", "Bottoms", "Skirts", "skirt", 26),
    ("General Petite", "Bottoms", "Skirts", "skirt", 15),
    ("General", "Bottoms", "Shorts", "pair of shorts", 13),
    ("General", "Jackets", "Jackets", "jacket", 17),
    ("General Petite", "Jackets", "Jackets", "jacket", 13),
    ("General", "Jackets", "Outerwear", "coat", 14),
    ("Intimates", "Intimate", "Lounge", "robe", 29),
    ("Intimates", "Intimate", "Swim", "swimsuit", 15),
    ("Intimates", "Intimate", "Sleep", "nightshirt", 10),
    ("Intimates", "Intimate", "Legwear", "pair of tights", 7),
    ("Intimates", "Intimate", "Layering", "camisole", 13),
    ("General", "Trend", "Trend", "jumpsuit", 4),
]
_AGES = {a: math.exp(-0.5 * (math.log((a - 8) / 29.0) / 0.36) ** 2) for a in range(18, 100)}
_CATEGORIES = {"division": 0, "department": 1, "class_name": 2}
_RECOMMENDED = (0.02, 0.06, 0.41, 0.97, 0.998)  # share that recommends, by rating

# Mood of a text by rating: negative, neutral, positive. Because of the mood, words and rating do
# not always agree.
_MOODS = (
    (0.92, 0.07, 0.01),
    (0.76, 0.21, 0.03),
    (0.11, 0.79, 0.10),
    (0.02, 0.11, 0.87),
    (0.00, 0.02, 0.98),
)
# Kinds of sentences of a mood, in 20ths: good, bad, torn, plain.
_MIX = ((2, 10, 3, 5), (5, 5, 6, 4), (10, 1, 2, 7))

_COUNTS = [2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8]  # sentences in a text


@dataclass(frozen=True)
class Bias:
    """Bias of the generated reviews: size of one group, and how much lower its ratings are.

    Parameters
    ----------
    facet : {'division', 'department', 'class_name', 'age'}
        Column that defines the groups.
    value : str, optional
        For a categorical facet: rows with this value are group d, all others group a.
    threshold : int, optional
        For age: rows above it are group d.
    share : float, optional
        Share of group d in all rows, above 0 and below 1; by default its share without bias.
    shift : float, default 0
        Difference between the probabilities of ratings of 4 and 5 in a and in d, -1 to 1. Over all
        rows, the ratings keep the shares of `RATINGS`.

    Raises
    ------
    ConfigError
        If the group does not exist, or the shift needs a probability outside 0 to 1.

    Notes
    -----
    With p the share of d and s the shift, 4 or 5 stars have probability 0.775 + s p in a and
    0.775 - s (1 - p) in d. The proportions within 1 to 3 stars and within 4 to 5 stars stay.

    Examples
    --------
    >>> dial = Bias("department", value="Intimate", share=0.25, shift=0.1)
    >>> dial.true_ci(), round(dial.true_dpl(), 12)
    (0.5, 0.1)
    """

    facet: str
    value: str | None = None
    threshold: int | None = None
    share: float | None = None
    shift: float = 0.0

    def __post_init__(self) -> None:
        if self.facet not in (*_CATEGORIES, "age"):
            raise ConfigError(
                f"bias: facet must be one of {(*_CATEGORIES, 'age')}, got {self.facet!r}"
            )
        given = "threshold" if self.facet == "age" else "value"
        if (self.value is None) == (self.threshold is None) or getattr(self, given) is None:
            raise ConfigError(f"bias: facet '{self.facet}' needs a {given}, and nothing else")
        if not 0 < self._natural() < 1:
            raise ConfigError(
                f"bias: no row, or every row, has {self.facet} "
                f"{'above ' if self.facet == 'age' else ''}{getattr(self, given)!r}"
            )
        if not 0 < self.probability < 1:
            raise ConfigError(f"bias: share must lie between 0 and 1, got {self.share}")
        if not all(0 <= p <= 1 for p in (*self.ratings(d=True), *self.ratings(d=False))):
            raise ConfigError(f"bias: shift {self.shift} asks for a probability outside 0 to 1")

    @property
    def probability(self) -> float:
        """Return the probability that a row is in group d."""
        return self._natural() if self.share is None else self.share

    def ratings(self, *, d: bool) -> tuple[float, ...]:
        """Return the probabilities of 1 to 5 stars in group d or in group a."""
        move = self.shift * (self.probability - 1 if d else self.probability)
        good = sum(RATINGS[3:])
        up, down = (good + move) / good, (1 - good - move) / (1 - good)
        return tuple(p * (up if i >= 3 else down) for i, p in enumerate(RATINGS))

    def true_ci(self) -> float:
        """Return the expected class imbalance (n_a - n_d) / (n_a + n_d)."""
        return 1 - 2 * self.probability

    def true_dpl(self, positive: Collection[int] = (4, 5)) -> float:
        """Return the expected difference in proportions of labels, q_a - q_d.

        Parameters
        ----------
        positive : collection of int, default (4, 5)
            Ratings that count as positive: (1, 2) for negative, (3,) for neutral sentiment.
        """
        a, d = self.ratings(d=False), self.ratings(d=True)
        return sum(a[stars - 1] - d[stars - 1] for stars in positive)

    def _natural(self) -> float:
        if self.facet == "age":
            above = sum(w for age, w in _AGES.items() if self.holds(age))
            return above / sum(_AGES.values())
        total = sum(row[4] for row in _CLASSES)
        return sum(row[4] for row in _CLASSES if self.holds(row)) / total

    def holds(self, row: "_Class | int") -> bool:
        """Tell whether a row of this class, or of this age, is in group d."""
        if isinstance(row, int):
            return self.threshold is not None and row > self.threshold
        return self.facet != "age" and row[_CATEGORIES[self.facet]] == self.value


def generate_reviews(
    spark: SparkSession,
    rows: int,
    seed: int = 7,
    *,
    bias: Bias | None = None,
    partitions: int | None = None,
) -> DataFrame:
    """Generate synthetic reviews.

    Parameters
    ----------
    spark : SparkSession
        Session to generate them in.
    rows : int
        Number of rows, 0 or more.
    seed : int, default 7
        Whole number of 64 bits. Each seed gives other reviews.
    bias : Bias, optional
        Bias of the ratings; by default they do not depend on age or category.
    partitions : int, optional
        Number of partitions; by default Spark's default parallelism.

    Returns
    -------
    DataFrame
        Columns of `REVIEWS`. About one title in six is null; other columns are never null. One
        row in 200 repeats another row in all columns but ``review_id``.

    Raises
    ------
    ConfigError
        If `rows` is negative or `seed` has more than 64 bits.

    Notes
    -----
    Column expressions over a range: no data is stored, and no Python worker starts. Row i depends
    only on seed and bias, not on the size of the table or its partitions.

    Examples
    --------
    >>> df = generate_reviews(spark, 1000, bias=Bias("age", threshold=50, shift=0.2))
    >>> df.count(), df.where("rating between 1 and 5").count()
    (1000, 1000)
    """
    if rows < 0:
        raise ConfigError(f"generator: rows must be 0 or more, got {rows}")
    if not -(2**63) <= seed < 2**63:
        raise ConfigError(f"generator: seed must be a whole number of 64 bits, got {seed}")
    made = spark.range(0, rows, 1, partitions)
    *layers, last = _layers(seed, bias)
    for layer in layers:
        made = made.selectExpr("*", *(f"{sql} AS {name}" for name, sql in layer.items()))
    return made.selectExpr(*(f"{last[name]} AS {name}" for name in REVIEWS.names))


def _layers(seed: int, bias: Bias | None) -> list[dict[str, str]]:
    """Return the columns to add to ``id``, as SQL, by layer; the last layer has the review columns.

    SQL, because the same plan of Column calls needs hundreds of calls into the JVM. A value that is
    used twice has a layer of its own. Other values are in the layer of the sentences: Spark
    compiles a layer with a lambda in small pieces, and other layers to one method, which the JVM
    interprets if it is long.
    """
    draw = _Draws(seed)
    # A copied row takes all values from the first row of its block of 64.
    keyed = {"key": f"IF({draw.uniform('copied', of='id')} < 0.005D, id - id % 64, id)"}
    drawn = {
        "in_d": "false" if bias is None else f"{draw.uniform('group')} < {bias.probability!r}D",
        "rating_at": draw.uniform("rating"),
        "mood_at": draw.uniform("mood"),
        "count": _at(_numbers(_COUNTS), draw.below("count", len(_COUNTS))),
        **{f"bits_{i}": draw.bits(f"sentence {i}") for i in range(max(_COUNTS))},
    }

    ratings = (RATINGS, RATINGS) if bias is None else (bias.ratings(d=True), bias.ratings(d=False))
    passed = (
        f"int(rating_at >= IF(in_d, {d!r}D, {a!r}D))"
        for d, a in zip(*map(_edges, ratings), strict=True)
    )
    by_age = bias is not None and bias.facet == "age"
    ages_in_d = [bias.holds(age) for age in _AGES] if bias and by_age else None
    kinds_in_d = [bias.holds(row) for row in _CLASSES] if bias and not by_age else None
    weights = [row[4] for row in _CLASSES]
    facts = {
        "kind": draw.one_of("kind", range(len(_CLASSES)), weights, kinds_in_d),
        "age": draw.one_of("age", list(_AGES), list(_AGES.values()), ages_in_d),
        "rating": " + ".join(["1", *passed]),
    }
    moods = zip(*map(_edges, _MOODS), strict=True)
    mood = " + ".join(
        f"int(mood_at >= {_at(_numbers(by_rating), 'rating - 1')})" for by_rating in moods
    )

    titles = [title for table in TITLES for title in table]
    title = _at(
        _strings(titles), f"mood * {len(TITLES[0])} + {draw.below('title', len(TITLES[0]))}"
    )
    recommends = _at(_numbers(_RECOMMENDED), "rating - 1")
    written = {
        "sentences": _sentences(),
        "apart": f"IF({draw.uniform('apart')} < 0.125D, '\n\n', ' ')",
        "ending": f"IF({draw.uniform('ends')} < 0.125D, {draw.any_of('ending', EXTRAS)}, '')",
        "curly": f"{draw.uniform('curly')} < 0.15D",
        "loud": f"{draw.uniform('loud')} < 0.01D",
        "item": _at(_strings([row[3] for row in _CLASSES]), "kind"),
        "color": draw.any_of("color", COLORS),
        "title": f"IF({draw.uniform('untitled')} < 0.16D, NULL, {title})",
        "product_id": f"string(1000 + kind * 40 + {draw.below('product', 40)})",
        "recommended": f"{draw.uniform('recommended')} < {recommends}",
        "helpful": f"int(least(floor(-2.6D * ln(1 - {draw.uniform('helpful')})), 120))",
        **{
            name: _at(_strings([str(row[at]) for row in _CLASSES]), "kind")
            for name, at in _CATEGORIES.items()
        },
    }
    # In one text of eight, an empty line comes after the second sentence.
    joined = (
        "concat_ws(apart, array_join(slice(sentences, 1, 2), ' '), IF(size(sentences) > 2, "
        f"array_join(slice(sentences, 3, {max(_COUNTS) - 2}), ' '), NULL))"
    )
    reviews = {
        **{name: name for name in REVIEWS.names},
        "review_id": f"concat('s{seed}-', id)",
        "title": _filled("title"),
        "review_text": "IF(loud, upper(whole), whole)",
        "positive_feedback_count": "helpful",
    }
    return [
        keyed,
        drawn,
        facts,
        {"mood": mood},
        written,
        {"straight": _filled(joined)},
        {"whole": f"concat(IF(curly, translate(straight, {_CURLED}), straight), ending)"},
        reviews,
    ]


@dataclass(frozen=True)
class _Draws:
    """Random draws as SQL; each depends only on the seed, the row's key and the draw's name."""

    seed: int

    def bits(self, name: str, of: str = "key") -> str:
        """64 random bits."""
        return f"xxhash64({self.seed}L, {of}, {crc32(name.encode())}L)"

    def uniform(self, name: str, of: str = "key") -> str:
        """Return a number from [0, 1)."""
        return f"(shiftrightunsigned({self.bits(name, of)}, 11) * {2.0**-53!r}D)"

    def below(self, name: str, size: int) -> str:
        """Return an index below `size`."""
        return f"int(pmod({self.bits(name)}, {size}))"

    def any_of(self, name: str, values: Sequence[str]) -> str:
        """Return one of `values`, with equal probability."""
        return _at(_strings(values), self.below(name, len(values)))

    def one_of(
        self,
        name: str,
        values: Sequence[int],
        weights: Sequence[float],
        in_d: Sequence[bool] | None = None,
    ) -> str:
        """Return one of `values`, by weight, to about one part in a thousand.

        With `in_d`, rows of group d get the values that it marks, and other rows get the others.
        """
        if in_d is not None:
            d, a = (
                self.one_of(
                    name,
                    [v for v, inside in zip(values, in_d, strict=True) if inside == side],
                    [w for w, inside in zip(weights, in_d, strict=True) if inside == side],
                )
                for side in (True, False)
            )
            return f"IF(in_d, {d}, {a})"
        ends = [round(1000 * edge / math.fsum(weights)) for edge in accumulate(weights)]
        starts = [0, *ends[:-1]]
        slots = [
            v for v, start, end in zip(values, starts, ends, strict=True) for _ in range(start, end)
        ]
        return _at(_numbers(slots), self.below(name, len(slots)))


def _sentences() -> str:
    """Draw 2 to 8 sentences, of the kinds of the mood, as an array.

    Every other sentence consists of a subject and a predicate; the others are whole sentences. A
    lambda, not an expression per sentence: the plan has the same size for any number of sentences.
    """
    kinds = [kind for mix in _MIX for kind, count in enumerate(mix) for _ in range(count)]
    size = len(STATEMENTS[0])
    phrases = [s for table in STATEMENTS for s in table]
    whole = len(phrases)
    phrases += [f"{p}." for table in PREDICATES for p in table]
    draws = ", ".join(f"bits_{i}" for i in range(max(_COUNTS)))

    def below(limit: int, shift: int) -> str:
        return f"int(pmod(shiftrightunsigned(bits, {shift}), {limit}))"

    kind = _at(_numbers(kinds), f"mood * 20 + {below(20, 0)}")
    subject = _at(_strings([f"{s} " for s in SUBJECTS]), below(len(SUBJECTS), 32))
    phrase = _at(_strings(phrases), f"i % 2 * {whole} + {kind} * {size} + {below(size, 16)}")
    sentence = f"concat(IF(i % 2 = 1, {subject}, ''), {phrase})"
    return f"transform(slice(array({draws}), 1, count), (bits, i) -> {sentence})"


_CURLED = "'\\'\"', '\u2019\u201d'"


def _edges(probabilities: Sequence[float]) -> list[float]:
    """Return the ends of the parts of [0, 1) that have these lengths."""
    return list(accumulate(probabilities))[:-1]


def _filled(text: str) -> str:
    """Insert the item and the color of the row."""
    return f"replace(replace({text}, '#i', item), '#c', color)"


def _at(table: str, index: str) -> str:
    """Look up a table by a 0-based index."""
    return f"element_at({table}, 1 + {index})"


def _strings(values: Sequence[str]) -> str:
    """Write a table of texts as one literal, which Spark splits once while it plans."""
    text = "|".join(values).replace("\\", "\\\\").replace("'", "\\'")
    return f"split('{text}', '[|]')"


def _numbers(values: Sequence[int] | Sequence[float]) -> str:
    """Write a table of numbers as one literal."""
    kind = "int" if isinstance(values[0], int) else "double"
    return f"cast({_strings([repr(value) for value in values])} AS array<{kind}>)"
