"""Tiny checkpoints with made-up weights, in the layout of real ones: quick to make and to run."""

import atexit
import json
import shutil
import string
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WIDTH, LAYERS, HEADS, INNER, POSITIONS = 16, 2, 4, 32, 64
WORDS = ["it", "is", "was", "love", "this", "dress", "soft", "warm", "too", "small", "large"]
WORDS += ["fits", "well", "poor", "bad", "good"]


def tiny_checkpoint(
    folder: Path, family: str = "bert", *, pooling: str = "mean", normalize: bool = True
) -> str:
    """Write a checkpoint of `family` into `folder` and return its path; always the same weights.

    It has two layers, vectors of 16 numbers and room for 62 tokens or more. Its WordPiece
    tokenizer knows some words and all ASCII characters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    if family in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        special = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]  # as there: the padding's id is 1
    signs = string.ascii_lowercase + string.digits + string.punctuation
    words = [*special, *signs, *(f"##{sign}" for sign in signs), *WORDS]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    _tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    config = _config(family, len(vocabulary), vocabulary["[PAD]"])
    _write(folder / "config.json", config)
    rng = np.random.default_rng(7)
    shapes = _shapes(family, config)
    save_file({name: _values(rng, name, shapes[name]) for name in sorted(shapes)},
              folder / "model.safetensors")  # fmt: skip
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    _write(
        folder / "modules.json",
        [{"type": f"sentence_transformers.models.{name}"} for name in modules],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    key = "pooling_mode_max_tokens" if pooling == "max" else f"pooling_mode_{pooling}_token"
    key += "s" if pooling == "mean" else ""
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, key: True})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    return str(folder)


@cache
def shared_tiny_checkpoint() -> str:
    """Return the path of one tiny BERT checkpoint for all tests of this run."""
    folder = Path(tempfile.mkdtemp(prefix="tiny-checkpoint-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return tiny_checkpoint(folder)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), "utf-8")


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(word, vocabulary[word]) for word in ("[CLS]", "[SEP]")],
    )
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]"])
    # As real files have it: settings for training that must not leak into use.
    tokenizer.enable_padding(length=24, pad_id=vocabulary["[PAD]"], pad_token="[PAD]")
    tokenizer.enable_truncation(8)
    return tokenizer


def _config(family: str, vocabulary: int, padding: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_type": family,
        "vocab_size": vocabulary,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": padding,
    }
    if family == "distilbert":
        return config | {
            "dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": INNER,
            "activation": "gelu",
        }  # fmt: skip
    config |= {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INNER,
        "hidden_act": "gelu_new" if family == "electra" else "gelu",
        "layer_norm_eps": 1e-5 if family != "bert" else 1e-12,
        "type_vocab_size": 2 if family in ("bert", "electra") else 1,
    }
    if family == "electra":
        config["embedding_size"] = 8
    if family == "mpnet":
        config["relative_attention_num_buckets"] = 32
    return config


def _shapes(family: str, config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the tensors that a checkpoint of `family` holds, by name."""
    width = config.get("embedding_size", WIDTH)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (POSITIONS, width),
    }

    def dense(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name: str, size: int = WIDTH) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (size,)

    norm("embeddings.LayerNorm", width)
    if family not in ("distilbert", "mpnet"):
        shapes["embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], width)
    if width != WIDTH:
        dense("embeddings_project", width, WIDTH)
    if family == "mpnet":
        shapes["encoder.relative_attention_bias.weight"] = (32, HEADS)
    attention, mixed, mixed_norm, up, down, last = {
        "distilbert": (
            ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
            "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm",
        ),
        "mpnet": (
            ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
            "attention.attn.o", "attention.LayerNorm",
            "intermediate.dense", "output.dense", "output.LayerNorm",
        ),
    }.get(
        family,
        (
            ["attention.self.query", "attention.self.key", "attention.self.value"],
            "attention.output.dense", "attention.output.LayerNorm",
            "intermediate.dense", "output.dense", "output.LayerNorm",
        ),
    )  # fmt: skip
    for number in range(LAYERS):
        at = f"{'transformer' if family == 'distilbert' else 'encoder'}.layer.{number}."
        for name in [*attention, mixed]:
            dense(at + name, WIDTH, WIDTH)
        norm(at + mixed_norm)
        dense(at + up, WIDTH, INNER)
        dense(at + down, INNER, WIDTH)
        norm(at + last)
    return shapes


def _values(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    drawn = 0.4 * rng.standard_normal(shape)
    is_scale = name.lower().endswith("norm.weight")
    return (drawn + 1 if is_scale else drawn).astype(np.float32)
