"""A stand-in for the text classifier of BlazingText.

BlazingText learns vectors of words and averages them. The stand-in trains a linear classifier on
hashed n-grams of words, with the same number of epochs of stochastic gradient descent. Modes,
hyperparameters, and the formats of training data and answers are those of BlazingText. Figures
differ from those of BlazingText.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from spark_sentiment.standin.algorithms.arrays import loaded, saved
from spark_sentiment.standin.algorithms.base import Algorithm, Channel, Container, Trained, Training
from spark_sentiment.standin.algorithms.rules import BOOLEAN, choice, integer, number
from spark_sentiment.standin.algorithms.tables import named
from spark_sentiment.standin.errors import ContainerError, JobError

_LABEL = "__label__"
_JSON, _LINES = "application/json", "application/jsonlines"
_BUCKETS = 2**18  # buckets of hashed n-grams; the default of BlazingText is 2,000,000
Document = tuple[tuple[str, ...], str]  # labels, and words


def _documents(channel: Channel) -> list[Document]:
    lines = [line for body in channel.bodies for line in body.decode().splitlines() if line.strip()]
    is_json = named(channel.content_type or "")[0] == _LINES
    read = _of_json if is_json else _of_text
    try:
        return [read(line) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise JobError(
            f"ClientError: a line of channel '{channel.name}' is not '{_LABEL}NAME words', nor "
            "JSON with 'source' and 'label'"
        ) from error


def _of_text(line: str) -> Document:
    words = line.split()
    labels = tuple(word for word in words if word.startswith(_LABEL))
    if not labels:
        raise ValueError("no label")
    return labels, " ".join(word for word in words if not word.startswith(_LABEL))


def _of_json(line: str) -> Document:
    """Read a line of an augmented manifest: labels are numbers or names, one or a list."""
    found = json.loads(line)
    given = found["label"] if isinstance(found["label"], list) else [found["label"]]
    return tuple(f"{_LABEL}{one}" for one in given), str(found["source"])


def _train(training: Training) -> Trained:
    from sklearn.linear_model import SGDClassifier

    values = training.values
    if values["mode"] != "supervised":
        raise JobError(f"ClientError: mode '{values['mode']}' is not supported; use 'supervised'")
    if "train" not in training.channels:
        raise JobError("ClientError: the channel 'train' is missing")
    documents = _documents(training.channels["train"])
    counts = Counter(word for _, text in documents for word in text.split())
    least, grams = values.get("min_count", 5), values.get("word_ngrams", 2)
    known = sorted(word for word, count in counts.items() if count >= least)
    labels = sorted({label for found, _ in documents for label in found})
    if len(labels) < 2 or not known:
        raise JobError(
            "ClientError: the train channel has fewer than two labels, or no word min_count times"
        )
    # As in BlazingText, a text with several labels counts for each of them.
    pairs = [(text, labels.index(label)) for found, text in documents for label in found]
    vectors = _vectors([text for text, _ in pairs], frozenset(known), grams)
    model = SGDClassifier(
        loss="log_loss", alpha=1e-5, max_iter=values.get("epochs", 5), tol=None, random_state=0
    )
    model.fit(vectors, [place for _, place in pairs])
    used = np.unique(vectors.indices)
    coef, intercept = model.coef_[:, used], model.intercept_
    if len(labels) == 2:  # scikit-learn fits one row of weights for two classes
        coef, intercept = np.vstack([-coef, coef]), np.hstack([-intercept, intercept])
    settings = {"labels": labels, "words": known, "word_ngrams": grams}
    files = saved(
        "blazingtext", settings, coef=coef.astype("float32"), intercept=intercept, used=used
    )
    classify = _classifier(files)
    metrics = {}
    for name in ("train", "validation"):
        if name in training.channels:
            judged = _documents(training.channels[name])
            best = [ranked[0][0] for ranked in classify([text for _, text in judged])]
            right = [one in given for one, (given, _) in zip(best, judged, strict=True)]
            metrics[f"{name}:accuracy"] = float(np.mean(right))
    return Trained(files, metrics)


def _vectors(texts: Iterable[str], known: frozenset[str], grams: int) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=_BUCKETS,
        ngram_range=(1, grams),
        analyzer="word",
        tokenizer=str.split,
        token_pattern=None,
        lowercase=False,
        alternate_sign=False,
    )
    kept = (" ".join(word for word in text.split() if word in known) for text in texts)
    return vectorizer.transform(kept)


def _classifier(files: Mapping[str, bytes]) -> Any:
    """Return a function that ranks the labels of texts, the most probable first."""
    settings, arrays = loaded("blazingtext", files)
    labels, known = settings["labels"], frozenset(settings["words"])
    coef, intercept, used = arrays["coef"], arrays["intercept"], arrays["used"]

    def classify(texts: Sequence[str]) -> Iterator[list[tuple[str, float]]]:
        vectors = _vectors(texts, known, settings["word_ngrams"])[:, used]
        shares = 1.0 / (1.0 + np.exp(-(np.asarray(vectors @ coef.T) + intercept)))
        shares /= shares.sum(axis=1, keepdims=True)
        for row in shares:
            order = np.argsort(-row, kind="stable")
            yield [(labels[place], float(row[place])) for place in order]

    return classify


def _load(files: Mapping[str, bytes]) -> Container:
    classify = _classifier(files)

    def container(body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        kind, _ = named(content_type)
        if kind not in (_JSON, _LINES):
            raise ContainerError(415, f"content type '{content_type}' is not supported")
        texts, most = _asked(body, kind)
        answers = [
            {"label": [label for label, _ in ranked[:k]], "prob": [p for _, p in ranked[:k]]}
            for ranked, k in zip(classify(texts), most, strict=True)
        ]
        if kind == _JSON and named(accept)[0] != _LINES:
            return json.dumps(answers).encode(), _JSON
        return "".join(json.dumps(one) + "\n" for one in answers).encode(), _LINES

    return container


def _asked(body: bytes, kind: str) -> tuple[list[str], list[int]]:
    """Return the texts of a request, and the number of labels to return for each."""
    try:
        if kind == _JSON:
            request = json.loads(body)
            texts = [str(text) for text in request["instances"]]
            return texts, [int(request.get("configuration", {}).get("k", 1))] * len(texts)
        lines = [json.loads(line) for line in re.split(rb"\r?\n", body) if line.strip()]
        return [str(line["source"]) for line in lines], [int(line.get("k", 1)) for line in lines]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContainerError(400) from error


BLAZINGTEXT = Algorithm(
    {
        "mode": choice("supervised", "cbow", "skipgram", "batch_skipgram", required=True),
        "buckets": integer(1_000_000, 10_000_000),
        "early_stopping": BOOLEAN,
        "epochs": integer(),
        "learning_rate": number(0),
        "min_count": integer(0),
        "min_epochs": integer(),
        "patience": integer(),
        "vector_dim": integer(1, 2048),
        "word_ngrams": integer(),
        "evaluation": BOOLEAN,
        "subwords": BOOLEAN,
        "sampling_threshold": number(0),
        **dict.fromkeys(
            ("batch_size", "max_char", "min_char", "negative_samples", "window_size"), integer()
        ),
    },
    ("text/plain", _LINES, _JSON),
    _train,
    _load,
)
