"""The default classifier: words, phrases and embeddings, combined by `Stacked`."""

from collections.abc import Collection
from typing import Any

from pyspark.ml.classification import LogisticRegression, NaiveBayes
from pyspark.ml.feature import IDF, Normalizer, VectorAssembler

from spark_sentiment.classification.stacked import Stacked
from spark_sentiment.text import NGrams, Vocabulary

# MLlib multiplies blocks of rows; for a sparse block it reads all coefficients. Few large blocks
# are therefore faster.
_BLOCK_MB = 16.0

FEATURES = ("tfidf", "embedding")
"""Features of the classifier."""


def tfidf(inputCol: str, outputCol: str, maxN: int = 2, minDF: float = 3.0) -> list[Any]:
    """Return stages that turn a text into a unit vector of tf-idf weights of its n-grams.

    Parameters
    ----------
    inputCol, outputCol : str
        String column to read, which may be null, and vector column to add. The columns between
        have the name `outputCol` with the suffix ``_grams``, ``_counts`` or ``_weights``.
    maxN : int, default 2
        Words in the longest n-gram.
    minDF : float, default 3
        Minimum number of training texts that contain an n-gram; rarer n-grams are ignored.

    Notes
    -----
    An n-gram counts once per text, however often it occurs. The vocabulary holds at most
    262,144 n-grams, the most frequent ones; it is part of the model, some 20 bytes each. If no
    n-gram is frequent enough, the vector holds a single 0.

    Examples
    --------
    >>> from pyspark.ml import Pipeline
    >>> df = spark.createDataFrame([("good fit",), ("bad fit",)], ["text"])
    >>> model = Pipeline(stages=tfidf("text", "v", maxN=1, minDF=1)).fit(df)
    >>> [sorted(row.v.toArray().round(3).tolist()) for row in model.transform(df).collect()]
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    """
    grams, counts, weights = (f"{outputCol}_{part}" for part in ("grams", "counts", "weights"))
    return [
        NGrams(inputCol=inputCol, outputCol=grams, maxN=maxN),
        Vocabulary(inputCol=grams, outputCol=counts, minDF=minDF, binary=True),
        IDF(inputCol=counts, outputCol=weights),
        Normalizer(inputCol=weights, outputCol=outputCol),
    ]


def classifier(
    features: Collection[str] = FEATURES,
    *,
    textCol: str = "text",
    titleCol: str | None = "title",
    embeddingCol: str = "embedding",
    labelCol: str = "label",
    ratingCol: str | None = None,
    numFolds: int = 3,
    regParam: float = 3e-5,
    embeddingRegParam: float = 5e-3,
    naiveBayes: bool = True,
    maxIter: int = 25,
    seed: int = 0,
    parallelism: int = 2,
    metric: str = "macroF1",
    weightCol: str | None = None,
) -> list[Any]:
    """Return the stages of the default classifier, for a Pipeline after the embedding.

    A logistic regression and a naive Bayes classifier learn from the tf-idf vectors of text and
    title, another logistic regression from the embedding. `Stacked` combines them and tunes
    thresholds for macro-F1.

    Parameters
    ----------
    features : collection of {'tfidf', 'embedding'}
        Features to learn from, one or both.
    textCol, titleCol : str
        Columns of clean text and title; the title may be None. Both columns may hold nulls.
    embeddingCol : str
        Vector column of the text's embedding; not read without 'embedding' in `features`.
    labelCol : str
        The class, 0 to classes - 1.
    ratingCol : str, optional
        A finer label of the training data, such as the rating of 1 to 5; it must not be null. The
        inner classifiers then predict its levels, which improves the result, and `Stacked` maps
        the levels to classes. Scoring data needs neither column.
    numFolds : int
        Number of folds, as in `Stacked`.
    regParam, embeddingRegParam : float
        L2 penalty of the two regressions, on the mean loss of a row.
    naiveBayes : bool
        Whether to use naive Bayes; its fit is one pass. It is the complement form of Rennie et
        al., "Tackling the Poor Assumptions of Naive Bayes Text Classifiers" (ICML 2003), made for
        classes of different size.
    maxIter : int
        Maximum number of iterations of each regression. The time is proportional to it; further
        iterations mostly fit noise in rare phrases.
    seed : int
        Seed of the folds; nothing else is random.
    parallelism : int
        Number of fits at the same time.
    metric : {'macroF1', 'accuracy'}
        Metric that the thresholds maximise, as in `Stacked`.
    weightCol : str, optional
        Weight of each training row, for the inner classifiers.

    Returns
    -------
    list of stages
        The last is `Stacked`; it adds rawPrediction, probability and prediction.

    Raises
    ------
    ValueError
        If `features` is empty or has another name.

    Examples
    --------
    >>> [type(stage).__name__ for stage in classifier(["embedding"])]
    ['Stacked']
    >>> len(classifier(["tfidf"], titleCol=None))
    5
    """
    unknown = sorted(set(features) - set(FEATURES))
    if unknown or not features:
        raise ValueError(f"classifier: features must be some of {FEATURES}, got {list(features)}")
    target = ratingCol or labelCol
    stages: list[Any] = []
    learners: list[Any] = []
    if "tfidf" in features:
        inputs = [f"{textCol}_tfidf"]
        grams, *stages = tfidf(textCol, inputs[0])
        words = inputs[0]
        if titleCol:
            inputs.append(f"{titleCol}_tfidf")
            title_grams, *weights = tfidf(titleCol, inputs[1], minDF=2.0)
            # Transformers come first, so that all estimators can use their cached result.
            stages = [grams, title_grams, *stages, *weights]
            words = "words_tfidf"
            stages.append(VectorAssembler(inputCols=inputs, outputCol="words_named"))
            # The assembler writes the names of its 50,000 numbers into the schema, which Spark then
            # sends with every job of every iteration. The Normalizer drops these names.
            stages.append(Normalizer(inputCol="words_named", outputCol=words))
        else:
            stages = [grams, *stages]
        learners.append(
            LogisticRegression(
                featuresCol=words,
                labelCol=target,
                maxIter=maxIter,
                regParam=regParam,
                tol=1e-5,
                maxBlockSizeInMB=_BLOCK_MB,
                # idf already gives rare words a larger weight. Standardization would also reduce
                # the penalty of their coefficients, because their variance is small.
                standardization=False,
            )
        )
        if naiveBayes:
            learners.append(
                NaiveBayes(
                    featuresCol=words, labelCol=target, modelType="complement", smoothing=0.5
                )
            )
    if "embedding" in features:
        learners.append(
            LogisticRegression(
                featuresCol=embeddingCol,
                labelCol=target,
                maxIter=maxIter,
                regParam=embeddingRegParam,
                tol=1e-5,
                maxBlockSizeInMB=_BLOCK_MB,
            )
        )
    if weightCol:
        for learner in learners:
            learner.setWeightCol(weightCol)
    top = Stacked(
        estimators=learners,
        labelCol=labelCol,
        numFolds=numFolds,
        metric=metric,
        seed=seed,
        parallelism=parallelism,
    )
    return [*stages, top]
