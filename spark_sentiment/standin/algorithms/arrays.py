"""Models as files of arrays and of settings: nothing in them is ever executed."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_ARRAYS, _SETTINGS = "model.npz", "model.json"


def saved(algorithm: str, settings: Mapping[str, Any], **arrays: ArrayLike) -> dict[str, bytes]:
    """Return a model's files.

    Examples
    --------
    >>> settings, arrays = loaded("pca", saved("pca", {"k": 2}, mean=[1.0]))
    >>> settings["k"], arrays["mean"].tolist()
    (2, [1.0])
    """
    out = io.BytesIO()
    np.savez_compressed(out, **{name: np.asarray(value) for name, value in arrays.items()})
    told = json.dumps({"algorithm": algorithm, **settings})
    return {_ARRAYS: out.getvalue(), _SETTINGS: told.encode()}


def loaded(
    algorithm: str, files: Mapping[str, bytes]
) -> tuple[dict[str, Any], dict[str, "np.ndarray[Any, Any]"]]:
    """Read a model's files; ValueError or KeyError where they are not this algorithm's."""
    settings = json.loads(files[_SETTINGS])
    if settings["algorithm"] != algorithm:
        raise ValueError(f"this is a model of {settings['algorithm']}, not of {algorithm}")
    with np.load(io.BytesIO(files[_ARRAYS]), allow_pickle=False) as arrays:
        return settings, dict(arrays)
