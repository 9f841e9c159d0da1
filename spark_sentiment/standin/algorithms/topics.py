"""Topics of bags of words, by scikit-learn's latent Dirichlet allocation.

The model is the same as that of SageMaker's LDA. It also replaces the neural topic model, which is
a different model with the same format of answers.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from spark_sentiment.sagemaker.formats import recordio
from spark_sentiment.standin.algorithms.arrays import loaded, saved
from spark_sentiment.standin.algorithms.base import Algorithm, Container, Trained, Training, numeric
from spark_sentiment.standin.algorithms.rules import BOOLEAN, Rule, choice, integer, number
from spark_sentiment.standin.algorithms.tables import CSV, Matrix
from spark_sentiment.standin.errors import JobError

_ANSWERS = {"lda": "topic_mixture", "ntm": "topic_weights"}


def _train(name: str, training: Training) -> Trained:
    from sklearn.decomposition import LatentDirichletAllocation

    features, values = training.train.features, training.values
    if features.min() < 0:
        raise JobError("ClientError: counts of words cannot be negative")
    topics = values["num_topics"]
    prior = values.get("alpha0", 1.0) / topics
    model = LatentDirichletAllocation(
        topics,
        doc_topic_prior=prior,
        max_iter=values.get("max_iterations", values.get("epochs", 10)),
        random_state=0,
    ).fit(features)
    test, metrics = training.table("test"), {}
    if test is not None:
        metrics["test:pwll"] = float(model.score(test.features)) / float(test.features.sum())
    return Trained(saved(name, {"prior": prior}, words=model.components_), metrics)


def _load(name: str, files: Mapping[str, bytes]) -> Container:
    from sklearn.decomposition import LatentDirichletAllocation

    settings, arrays = loaded(name, files)
    words = arrays["words"]
    # Fitting one text initializes the model; the trained topics then replace its components.
    model = LatentDirichletAllocation(
        len(words), doc_topic_prior=settings["prior"], max_iter=1, random_state=0
    ).fit(np.ones((1, words.shape[1])))
    model.components_ = words
    model.exp_dirichlet_component_ = np.exp(_expected_log(words))

    def score(features: Matrix) -> list[dict[str, Any]]:
        return [{_ANSWERS[name]: row.tolist()} for row in model.transform(features)]

    return numeric(score, words.shape[1])


def _expected_log(words: "np.ndarray[Any, Any]") -> Any:
    """Return the expected logarithm of each topic's distribution of words."""
    from scipy.special import digamma

    return digamma(words) - digamma(words.sum(axis=1, keepdims=True))


def _algorithm(name: str, rules: Mapping[str, Rule]) -> Algorithm:
    return Algorithm(
        rules, (recordio.CONTENT_TYPE, CSV), partial(_train, name), partial(_load, name)
    )


LDA = _algorithm(
    "lda",
    {
        "num_topics": integer(required=True),
        "feature_dim": integer(required=True),
        "mini_batch_size": integer(required=True),
        "alpha0": number(1e-9),
        "max_restarts": integer(),
        "max_iterations": integer(),
        "tol": number(0),
    },
)

NTM = _algorithm(
    "ntm",
    {
        "feature_dim": integer(required=True),
        "num_topics": integer(2, required=True),
        "batch_norm": BOOLEAN,
        "encoder_layers": Rule(choices=()),
        "encoder_layers_activation": choice("sigmoid", "tanh", "relu"),
        "optimizer": choice("sgd", "adam", "adagrad", "adadelta", "rmsprop"),
        **dict.fromkeys(("epochs", "mini_batch_size", "num_patience_epochs"), integer()),
        **dict.fromkeys(
            ("clip_gradient", "learning_rate", "rescale_gradient", "sub_sample", "tolerance"),
            number(0),
        ),
        "weight_decay": number(0),
    },
)
