# ruff: noqa: T201 - a script prints its result
"""Product-review sentiment as a plain script for one machine: pandas, scikit-learn and torch.

    python plain_script.py REVIEWS.csv --model FOLDER [--split HELD_OUT.txt] [--precision auto]

The peer of ``jobs/train.py conf/local.yaml`` in bench_job.py. It does the same work with the same
settings: the reading of the CSV, TextCleaner's default steps, labels (1-2 negative, 3 neutral, 4-5
positive), MiniLM embeddings after four layers, tf-idf of text and title, two logistic regressions
and a complement naive Bayes that learn the five ratings, a multinomial logistic regression on their
out-of-fold log-probabilities, offsets for macro-F1, and the evaluation on the held-out reviews.

It leaves out what a script leaves out: tables and their checks, quarantine of torn records, kept
embeddings, bias metrics, a saved model, a record of the run. Its cleaning has the same steps with
shorter patterns. Its folds are stratified at random, where the job's are a hash of the row.

HELD_OUT.txt has one SHA-256 a line, of title, U+001F and text as they stand in the CSV: the reviews
to judge by. Without it, 20 % are held out, stratified by class. The last line that is printed is
JSON: seconds of each step, accuracy, macro-F1 and the F1 of each class.
"""

import time

_BEGAN = time.perf_counter()

import argparse  # noqa: E402
import hashlib  # noqa: E402
import html  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Iterator, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from typing import Any  # noqa: E402

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402
from scipy.sparse import csr_matrix, diags, hstack  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, f1_score  # noqa: E402
from sklearn.model_selection import StratifiedKFold, train_test_split  # noqa: E402
from sklearn.naive_bayes import ComplementNB  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler, normalize  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

CLASSES = ("negative", "neutral", "positive")
SEED, FOLDS, HELD_OUT = 42, 3, 0.2
LAYERS, BATCH, TRIED = 4, 32, 500
GRID = np.round(np.arange(-3, 3.025, 0.05), 10)  # offsets of log-probability
SMOOTH = 5  # grid steps on either side that a score is averaged over
TINY = 1e-7

seconds: dict[str, float] = {"imports": time.perf_counter() - _BEGAN}

# --- cleaning ------------------------------------------------------------------------------------

_IS = r"\b(it|he|she|that|there|here|what|who|where|when|why|how|everything|nothing|something)"
_WOULD = r"\b(i|you|he|she|it|we|they|that|there|who)"
_CONTRACTIONS = [
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"\bcan't\b", "cannot"),
        (r"\bwon't\b", "will not"),
        (r"\bshan't\b", "shall not"),
        (r"\bain't\b", "is not"),
        (r"(?<=[a-z])n't\b", " not"),
        (_IS + r"'s(?=\s+(?:been|got)\b)", r"\1 has"),
        (_IS + r"'s\b", r"\1 is"),
        (r"\blet's\b", "let us"),
        (r"\bi'm\b", "I am"),
        (r"(?<=[a-z])'ve\b", " have"),
        (r"(?<=[a-z])'ll\b", " will"),
        (r"(?<=[a-z])'re\b", " are"),
        (_WOULD + r"'d(?=\s+(?:been|better)\b)", r"\1 had"),
        (_WOULD + r"'d\b", r"\1 would"),
    )
]
_TAG = re.compile(r"<(?:/?[a-z][a-z0-9:-]*(?:\s[^<>]*)?/?|!--.*?--)>", re.IGNORECASE | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200c\u200e\u200f\ufeff]")
_QUOTES = str.maketrans(
    dict.fromkeys("`\u00b4\u02bc\u2018\u2019\u201a\u201b\u2032\u2035", "'")
    | dict.fromkeys("\u00ab\u00bb\u201c\u201d\u201e\u201f\u2033\u2036", '"')
)
_URL = re.compile(
    r"\b(?:(?:https?|ftp)://|www\.)[^\s<>\"]*[^\s<>\".,;:!?')\]]"
    r"|\b(?:[a-z0-9-]+\.)+(?:com|net|org|edu|gov|info|biz|co\.uk)\b(?:/[^\s<>\"]*[^\s<>\".,;:!?')])?",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+%-]+@(?:[\w-]+\.)+[a-z]{2,24}\b", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w$.,/-])(?:\+[1-9](?:[ ./-]?\d){7,14}|(?:1[ .-])?\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|(?:1[ .-])?\d{3}([ .-])\d{3}\1\d{4})(?![\w]|[.,/-]\d)"
)
_REPEATED = re.compile(r"([^\d\s])\1{3,}")


def cleaned(text: str) -> str:
    """Apply the default steps of TextCleaner, each where there is something for it."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    text = _CONTROL.sub("", text).translate(_QUOTES)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    if "." in text or "//" in text:
        text = _URL.sub("<url>", text)
    text = _PHONE.sub("<phone>", text)
    if "'" in text:
        for pattern, words in _CONTRACTIONS:
            text = pattern.sub(words, text)
    return " ".join(_REPEATED.sub(r"\1\1\1", text).split())


# --- features ------------------------------------------------------------------------------------


def loaded(folder: str, precision: str) -> SentenceTransformer:
    """Load the model in 'bf16' or 'f32', cut after the fourth layer."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": dtype})
    encoder = model[0].auto_model.encoder
    encoder.layer = encoder.layer[:LAYERS]
    return model


def encoded(model: SentenceTransformer, texts: Sequence[str]) -> np.ndarray:
    """Embed `texts`, which sentence-transformers sorts by length itself."""
    with torch.inference_mode():
        vectors = model.encode(
            list(texts),
            batch_size=BATCH,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
    return vectors.float().numpy()


def faster(folder: str, texts: Sequence[str]) -> str:
    """Try both precisions on some texts; return the faster."""
    took = {}
    for precision in ("f32", "bf16"):
        model = loaded(folder, precision)
        encoded(model, texts[:BATCH])
        began = time.perf_counter()
        encoded(model, texts)
        took[precision] = time.perf_counter() - began
        print(f"{precision}: {len(texts) / took[precision]:.0f} texts/s", flush=True)
    return min(took, key=lambda name: took[name])


def embedded(folder: str, precision: str, texts: Sequence[str]) -> np.ndarray:
    """Embed each distinct text once."""
    codes, distinct = pd.factorize(np.asarray(texts, dtype=object))
    return encoded(loaded(folder, precision), distinct)[codes]


def tfidf(train: Sequence[str], test: Sequence[str], least: int) -> tuple[csr_matrix, csr_matrix]:
    """Fit tf-idf of words and pairs on `train`, with Spark's idf; return both parts."""
    counter = CountVectorizer(
        binary=True,
        ngram_range=(1, 2),
        min_df=least,
        max_features=2**18,
        token_pattern=r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\d+|[!?]+|<[^\W\d_]+>",
        dtype=np.float64,
    )
    counts = counter.fit_transform(train)
    found = np.asarray(counts.sum(axis=0)).ravel()
    weights = diags(np.log((counts.shape[0] + 1) / (found + 1)))
    return normalize(counts @ weights), normalize(counter.transform(test) @ weights)


# --- classifier ----------------------------------------------------------------------------------


def regression(penalty: float, rows: int, iterations: int = 25) -> LogisticRegression:
    """Return a logistic regression whose L2 `penalty` is on the mean loss of a row, as MLlib's."""
    return LogisticRegression(C=1 / (penalty * rows), max_iter=iterations, tol=1e-5)


def fitted(learner: Any, rows: Any, labels: np.ndarray) -> Any:
    """Fit a copy of `learner`; to stop at the most iterations is intended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return clone(learner).fit(rows, labels)


def log_probabilities(model: Any, rows: Any, levels: Sequence[int]) -> np.ndarray:
    """Return one column for each level, also for those that `model` has not met."""
    wide = np.zeros((rows.shape[0], len(levels)))
    wide[:, np.searchsorted(levels, model.classes_)] = model.predict_proba(rows)
    return np.log(np.maximum(wide, TINY))


def macro_f1(truth: np.ndarray, guessed: np.ndarray) -> float:
    counts = np.bincount(truth * 3 + guessed, minlength=9).reshape(3, 3)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * counts.diagonal()[either > 0] / either[either > 0]))


def offsets_for_macro_f1(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Choose what to add to each class's log-probability, one class after another."""
    support = np.bincount(truth, minlength=3)
    common = int(support.argmax())
    offsets = np.round(0.5 * np.log(support[common] / np.maximum(support, 1)) / 0.05) * 0.05
    for _ in range(10):
        before = offsets.copy()
        for c in range(3):
            if c == common or not support[c]:
                continue
            curve = []
            for offset in GRID:
                offsets[c] = offset
                curve.append(macro_f1(truth, (scores + offsets).argmax(axis=1)))
            padded = np.pad(curve, SMOOTH, mode="edge")
            smooth = np.convolve(padded, np.full(2 * SMOOTH + 1, 1 / (2 * SMOOTH + 1)), "valid")
            best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
            offsets[c] = GRID[best[len(best) // 2]]
        if np.array_equal(before, offsets):
            break
    return offsets


# --- the script ----------------------------------------------------------------------------------


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
    print(f"{name}: {seconds[name]:.1f} s", flush=True)


def key(title: str, text: str) -> str:
    """Return how HELD_OUT.txt names a review."""
    return hashlib.sha256(f"{title}\x1f{text}".encode()).hexdigest()


def main() -> None:
    """Do the work; print seconds and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv")
    parser.add_argument("--model", required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--split", help="file that names the held-out reviews")
    parser.add_argument("--precision", choices=("auto", "bf16", "f32"), default="auto")
    wanted = parser.parse_args()

    with step("reading"):
        # "NA" is a title like any other; a blank one is none.
        names = ["Title", "Review Text", "Rating"]
        reviews = pd.read_csv(wanted.csv, usecols=names, dtype=str, keep_default_na=False)
        reviews = reviews[reviews["Review Text"].str.strip() != ""]
        titles, bodies = reviews["Title"].tolist(), reviews["Review Text"].tolist()
        ratings = reviews["Rating"].astype(float).astype(int).to_numpy()
        labels = np.where(ratings <= 2, 0, np.where(ratings >= 4, 2, 1))
    with step("cleaning"):
        texts = [
            cleaned(f"{title} {body}" if title.strip() else body)
            for title, body in zip(titles, bodies, strict=True)
        ]
    with step("splitting"):
        if wanted.split:
            with open(wanted.split, encoding="ascii") as lines:
                held = set(lines.read().split())
            is_held = np.array([key(t, b) in held for t, b in zip(titles, bodies, strict=True)])
            train, test = np.flatnonzero(~is_held), np.flatnonzero(is_held)
        else:
            everything = np.arange(len(labels))
            train, test = train_test_split(
                everything, test_size=HELD_OUT, stratify=labels, random_state=SEED
            )
    precision = wanted.precision
    if precision == "auto":
        with step("trying precisions"):
            precision = faster(wanted.model, texts[:TRIED])
    with step("embedding"):
        vectors = embedded(wanted.model, precision, texts)
    with step("tf-idf"):
        parts = [
            tfidf([column[i] for i in train], [column[i] for i in test], least)
            for column, least in ((texts, 3), (titles, 2))
        ]
        words, held_words = (
            normalize(hstack(part, format="csr")) for part in zip(*parts, strict=True)
        )
    with step("fitting"):
        rows = len(train)
        scaled = make_pipeline(StandardScaler(), regression(5e-3, rows * (FOLDS - 1) // FOLDS))
        seen, held_seen = vectors[train], vectors[test]
        inputs = [(words, held_words), (words, held_words), (seen, held_seen)]
        learners = [
            regression(3e-5, rows * (FOLDS - 1) // FOLDS),
            ComplementNB(alpha=0.5),
            scaled,
        ]
        last_learners = [
            regression(3e-5, rows),
            ComplementNB(alpha=0.5),
            make_pipeline(StandardScaler(), regression(5e-3, rows)),
        ]
        truth, levels = ratings[train], np.unique(ratings[train])
        folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(words, truth))
        tasks = [
            (learner, data[kept], truth[kept])
            for kept, _ in folds
            for learner, (data, _) in zip(learners, inputs, strict=True)
        ]
        tasks += [
            (learner, data, truth) for learner, (data, _) in zip(last_learners, inputs, strict=True)
        ]
        # Sparse products and BLAS let go of the interpreter: threads share the data as it is. One
        # fit to a core, and so one BLAS thread to a fit.
        with threadpool_limits(1):
            models = Parallel(n_jobs=-1, prefer="threads")(delayed(fitted)(*task) for task in tasks)
        unseen = np.zeros((rows, len(inputs) * len(levels)))
        for fold, (_, out) in enumerate(folds):
            of_fold = models[fold * len(inputs) : (fold + 1) * len(inputs)]
            unseen[out] = np.hstack(
                [
                    log_probabilities(model, data[out], levels)
                    for model, (data, _) in zip(of_fold, inputs, strict=True)
                ]
            )
        top = make_pipeline(StandardScaler(), regression(1e-4, rows, iterations=50))
        top = fitted(top, unseen, labels[train])
    with step("thresholds"):
        offsets = offsets_for_macro_f1(labels[train], top.predict_log_proba(unseen))
    with step("evaluating"):
        last = models[-len(inputs) :]
        held_scores = np.hstack(
            [
                log_probabilities(model, data, levels)
                for model, (_, data) in zip(last, inputs, strict=True)
            ]
        )
        guessed = (top.predict_log_proba(held_scores) + offsets).argmax(axis=1)
        f1 = f1_score(labels[test], guessed, average=None, labels=[0, 1, 2], zero_division=0.0)
        figures = {
            "accuracy": float(accuracy_score(labels[test], guessed)),
            "macro_f1": float(f1.mean()),
            "f1": dict(zip(CLASSES, f1.tolist(), strict=True)),
            "rows": len(test),
        }
    result = {"seconds": seconds, "precision": precision, "trained_on": rows, **figures}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
