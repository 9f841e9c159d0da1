"""SageMaker's built-in algorithms, implemented by scikit-learn or by XGBoost.

``base`` defines an algorithm, ``rules`` the rules of hyperparameters, ``tables`` and ``answers``
read and write bodies, and ``arrays`` saves models. Each of the other modules has one or two
algorithms. They import scikit-learn and XGBoost on first use, because that takes seconds.
"""

import re

from spark_sentiment.standin.algorithms.base import Algorithm
from spark_sentiment.standin.algorithms.boosting import XGBOOST
from spark_sentiment.standin.algorithms.clusters import KMEANS, PCA
from spark_sentiment.standin.algorithms.linear import FACTORIZATION_MACHINES, LINEAR_LEARNER
from spark_sentiment.standin.algorithms.neighbours import KNN, RANDOM_CUT_FOREST
from spark_sentiment.standin.algorithms.text import BLAZINGTEXT
from spark_sentiment.standin.algorithms.topics import LDA, NTM
from spark_sentiment.standin.errors import JobError

ALGORITHMS = {
    "kmeans": KMEANS,
    "pca": PCA,
    "linear-learner": LINEAR_LEARNER,
    "xgboost": XGBOOST,
    "sagemaker-xgboost": XGBOOST,
    "factorization-machines": FACTORIZATION_MACHINES,
    "knn": KNN,
    "randomcutforest": RANDOM_CUT_FOREST,
    "blazingtext": BLAZINGTEXT,
    "lda": LDA,
    "ntm": NTM,
}
"""Algorithms by the repository of their image."""


def of_image(image: str) -> Algorithm:
    """Return the algorithm of a container image; raise JobError if the stand-in lacks it.

    Examples
    --------
    >>> of_image("382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1") is KMEANS
    True
    """
    name = re.split("[:@]", image.rsplit("/", 1)[-1])[0]
    if name not in ALGORITHMS:
        raise JobError(
            f"ClientError: the stand-in does not know the image '{image}'; it has "
            f"{', '.join(ALGORITHMS)}"
        )
    return ALGORITHMS[name]
