"""Save models as files of arrays and settings, which contain no executable code."""

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_ARRAYS, _SETTINGS = "model.npz", "model.json"


def saved(algorithm: str, settings: Mapping[str, Any], **arrays: ArrayLike) -> dict[str, bytes]:
    """Return the files of a model.

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
    """Read the files of a model; raise ValueError or KeyError if it is of another algorithm."""
    settings = json.loads(files[_SETTINGS])
    if settings["algorithm"] != algorithm:
        raise ValueError(f"this is a model of {settings['algorithm']}, not of {algorithm}")
    with np.load(io.BytesIO(files[_ARRAYS]), allow_pickle=False) as arrays:
        return settings, dict(arrays)
