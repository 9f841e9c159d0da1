"""SageMaker's built-in algorithms, each stood in for by scikit-learn or by XGBoost itself.

``base`` says what an algorithm is, ``rules`` what its hyperparameters may be, ``tables`` and
``answers`` read and write bodies, ``arrays`` keeps models; the other modules have an algorithm or
two each. They import scikit-learn and XGBoost when they are asked to work: that takes seconds.
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
"""By the name of their image's repository."""


def of_image(image: str) -> Algorithm:
    """Return the algorithm of a container image; JobError where the stand-in has none.

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
