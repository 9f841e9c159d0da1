"""Convert a BERT-family checkpoint, without torch, to one ONNX file that includes pooling.

All engines use the same file: OpenVINO and onnxruntime in `BertEmbeddings`, and Spark NLP's
BertSentenceEmbeddings. Its inputs are ``input_ids``, ``attention_mask`` and ``token_type_ids``
(int64, [batch, tokens]). Its output is one vector per text (float32, [batch, width]); it has the
name ``last_hidden_state``, which Spark NLP requires. Texts must be padded on the right.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from tokenizers import Tokenizer, normalizers

from spark_sentiment.core import cache_folder, draft_folder
from spark_sentiment.embedding import checkpoint
from spark_sentiment.embedding.checkpoint import POOLINGS, Checkpoint

log = logging.getLogger(__name__)

VERSION = 1
"""Increased when the conversion changes its result; part of every fingerprint."""


@dataclass(frozen=True)
class Converted:
    """One converted checkpoint: a folder that an executor can use without the checkpoint.

    Attributes
    ----------
    folder : str
        Folder of the two files.
    fingerprint : str
        32 hexadecimal digits, a hash of weights, tokenizer, pooling, normalisation, layers, and the
        version of this conversion.
    width : int
        Length of a vector.
    max_length : int
        Maximum number of tokens of a text in the checkpoint's settings.
    positions : int
        Maximum number of tokens that the model can embed.
    pad_id : int
        Padding token.
    normalize : bool
        Whether vectors have length 1.
    """

    folder: str
    fingerprint: str
    width: int
    max_length: int
    positions: int
    pad_id: int
    normalize: bool

    @property
    def model(self) -> Path:
        """The ONNX file; its name is unique because it contains the fingerprint."""
        return Path(self.folder, f"{self.fingerprint}.onnx")

    @property
    def tokenizer(self) -> Path:
        """The file of the tokenizer, without padding and truncation."""
        return Path(self.folder, f"{self.fingerprint}.json")


def convert(
    path: str | None = None,
    *,
    pooling: str = "auto",
    normalize: bool | None = None,
    num_layers: int | None = None,
    checksum: str | None = None,
    spark: SparkSession | None = None,
) -> Converted:
    """Return the ONNX file of a checkpoint, from the cache if it was converted before.

    Parameters
    ----------
    path : str, optional
        The installed all-MiniLM-L6-v2 by default; else a local folder or an address that Hadoop
        reads, such as ``s3a://bucket/folder``.
    pooling : {'auto', 'mean', 'cls', 'max'}, default 'auto'
        How to combine token vectors: the mean, the first token, or the maximum of each number;
        'auto' follows the checkpoint.
    normalize : bool, optional
        Whether to scale vectors to length 1; by default as in the checkpoint.
    num_layers : int, optional
        Number of layers to keep, from the first; by default all. Pooling and normalisation use the
        output of the last of these layers.
    checksum : str, optional
        Required SHA-256 of ``model.safetensors``.
    spark : SparkSession, optional
        Reads a remote address; the active session by default.

    Returns
    -------
    Converted
        Files in the cache folder.

    Raises
    ------
    CheckpointError
        If a part is missing or damaged, or the family of the model is not supported.

    Notes
    -----
    The first call for a model reads its weights and writes a file of the same size (1 s for the
    90 MB of MiniLM). Later calls only hash the weights, once per process.

    Examples
    --------
    >>> convert().width
    384
    """
    source = checkpoint.read(checkpoint.locate(path, spark), checksum)
    chosen = source.pooling if pooling == "auto" else pooling
    if chosen not in POOLINGS:
        raise source.failure(
            "1_Pooling/config.json",
            f"asks for {source.pooling_found}",
            f"set pooling to one of {', '.join(POOLINGS)}",
        )
    unit = source.normalize if normalize is None else normalize
    there = int(source.config["num_hidden_layers"])
    if num_layers is not None and not 1 <= num_layers <= there:
        raise source.failure(
            "config.json", f"says {there} layers", f"set numLayers to 1..{there}, not {num_layers}"
        )
    return _converted(source, chosen, unit, None if num_layers == there else num_layers)


def _fingerprint(source: Checkpoint, pooling: str, normalize: bool, layers: int | None) -> str:
    parts = [
        VERSION,
        source.sha256,
        checkpoint.sha256(source.folder / "tokenizer.json"),
        dict(source.config),
        pooling,
        normalize,
        source.lower,
        source.max_length,
        *([] if layers is None else [layers]),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _converted(source: Checkpoint, pooling: str, normalize: bool, layers: int | None) -> Converted:
    """Return the conversion from the cache, or convert."""
    fingerprint = _fingerprint(source, pooling, normalize, layers)
    final = cache_folder() / fingerprint
    settings = final / "settings.json"
    if settings.is_file():
        return Converted(folder=str(final), **json.loads(settings.read_text("utf-8")))
    # Imported here: the import is slow, and Spark's workers, which import this module, do not
    # need it.
    from spark_sentiment.embedding.graph import build

    log.info("converting checkpoint %s into %s", source.folder, final)
    with draft_folder(final) as draft:
        tokenizer = _tokenizer(source)
        result = Converted(
            folder=str(final),
            fingerprint=fingerprint,
            width=int(source.config["hidden_size"]),
            max_length=source.max_length,
            positions=source.positions,
            pad_id=int(source.config.get("pad_token_id") or 0),
            normalize=normalize,
        )
        model = build(source, pooling, normalize, layers)
        (draft / result.model.name).write_bytes(model.SerializeToString())
        tokenizer.save(str(draft / result.tokenizer.name))
        known = {key: value for key, value in asdict(result).items() if key != "folder"}
        (draft / "settings.json").write_text(json.dumps(known), "utf-8")
    return result


def _tokenizer(source: Checkpoint) -> Tokenizer:
    """Return the checkpoint's tokenizer, checked against the weights, without padding."""
    path = source.folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises plain Exception
        raise source.failure(
            "tokenizer.json", f"cannot be read ({error})", "fetch the checkpoint again"
        ) from error
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= source.config["vocab_size"]:
        raise source.failure(
            "tokenizer.json",
            f"has token id {highest}, the model knows {source.config['vocab_size']} tokens",
            "take tokenizer.json and the weights from one checkpoint",
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if source.lower:
        steps = [normalizers.Lowercase(), *filter(None, [tokenizer.normalizer])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer
