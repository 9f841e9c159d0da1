"""Run a converted checkpoint on texts: tokenizer, batches, and OpenVINO or onnxruntime.

This module works without Spark; `BertEmbeddings` calls it in Spark's Python workers.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spark_sentiment.embedding.convert import Converted
from spark_sentiment.errors import CheckpointError, SetupError

ENGINES = ("openvino", "onnxruntime")
PRECISIONS = ("auto", "f32", "bf16")

STEP = 16
"""Token counts are padded to a multiple of this, because an engine compiles for each shape."""

Run = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Plan:
    """Settings of a worker for embedding; small, because each task receives them.

    Attributes
    ----------
    converted : Converted
        The model and its tokenizer.
    engine : {'openvino', 'onnxruntime'}
        Engine that runs the model.
    precision : {'auto', 'f32', 'bf16'}
        Precision; 'auto' is bf16 if the processor has it and OpenVINO runs the model.
    max_length : int
        Maximum number of tokens of a text, with special tokens.
    batch_size : int
        Number of texts per inference.
    threads : int
        Threads that the engine may use in this process.
    """

    converted: Converted
    engine: str = "openvino"
    precision: str = "auto"
    max_length: int = 256
    batch_size: int = 32
    threads: int = 1


class Encoder:
    """One loaded model: texts in, vectors out, one caller at a time.

    Parameters
    ----------
    plan : Plan
        Model and settings.
    """

    def __init__(self, plan: Plan) -> None:
        if plan.threads == 1:  # other workers use the other cores: do not start a thread pool
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self._plan = plan
        self._lock = Lock()
        self._run = (_openvino if plan.engine == "openvino" else _onnxruntime)(plan)
        self._tokenizer = Tokenizer.from_file(str(on_this_machine(plan.converted.tokenizer)))
        self._tokenizer.enable_truncation(plan.max_length)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed `texts`: float32, [texts, width], in order; equal texts are computed once."""
        distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        with self._lock:
            vectors = self._embedded(list(distinct))
        if len(distinct) == len(texts):
            return vectors
        return vectors[[distinct[text] for text in texts]]

    def _embedded(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed distinct texts, the shortest first, so that a batch has little padding."""
        plan = self._plan
        # Some tokenizers return tokens for blanks at the ends.
        encodings = self._tokenizer.encode_batch_fast([text.strip() for text in texts])
        tokens = [encoding.ids for encoding in encodings]
        sizes = np.array([len(ids) for ids in tokens], dtype=np.int64)
        order = np.argsort(sizes, kind="stable")
        vectors = np.empty((len(texts), plan.converted.width), dtype=np.float32)
        for start in range(0, len(texts), plan.batch_size):
            chosen = order[start : start + plan.batch_size]
            length = min(-(-int(sizes[chosen[-1]]) // STEP) * STEP, plan.converted.positions)
            ids = np.full((len(chosen), length), plan.converted.pad_id, dtype=np.int64)
            for row, place in enumerate(chosen):
                ids[row, : sizes[place]] = tokens[place]
            mask = (np.arange(length) < sizes[chosen, None]).astype(np.int64)
            vectors[chosen] = self._run(ids, mask)
        if plan.converted.normalize:  # in bf16, the graph normalizes only to about two digits
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors


@lru_cache(maxsize=2)
def encoder(plan: Plan) -> Encoder:
    """Return the loaded model of `plan`; a process loads it once."""
    return Encoder(plan)


def cores() -> int:
    """Return the number of processors that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_this_machine(path: Path) -> Path:
    """Return `path`, or on an executor the path to which Spark has sent the file."""
    if path.is_file():
        return path
    from pyspark import SparkFiles

    brought = Path(SparkFiles.get(path.name))
    if not brought.is_file():
        raise CheckpointError(
            f"model file {path} is not on this machine, and Spark did not send it: the driver's "
            "cache folder was emptied while the job ran; start the job again"
        )
    return brought


def has_bf16() -> bool:
    """Tell whether OpenVINO computes in bf16 on this processor."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _openvino(plan: Plan) -> Run:
    import openvino

    if plan.precision == "bf16" and not has_bf16():
        raise SetupError(
            "precision 'bf16': this processor has no bf16 instructions; set precision to 'auto'"
        )
    fast = plan.precision != "f32" and has_bf16()
    model = on_this_machine(plan.converted.model)
    compiled = openvino.Core().compile_model(
        str(model),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32",
            "INFERENCE_NUM_THREADS": plan.threads,
            "NUM_STREAMS": 1,
            # Otherwise all workers use the same first cores.
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        request.infer(inputs, share_inputs=True)
        return np.asarray(request.get_output_tensor().data)

    return run


def _onnxruntime(plan: Plan) -> Run:
    import onnxruntime

    if plan.precision == "bf16":
        raise SetupError(
            "precision 'bf16': onnxruntime computes in f32 on processors; set engine to 'openvino'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.threads
    options.inter_op_num_threads = 1
    # A thread that waits actively blocks the core for other workers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = on_this_machine(plan.converted.model)
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return np.asarray(session.run(["last_hidden_state"], inputs)[0])

    return run
