"""Build the ONNX graph of a BERT-family encoder from the tensors of a checkpoint."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from spark_sentiment.embedding.checkpoint import Checkpoint, Weights

# Newest versions that onnxruntime 1.19 reads, which is part of Spark NLP 5.5.
_OPSET, _IR = 17, 9
_LIMIT = 1_900_000_000  # bytes; a protobuf message must stay below 2 GiB
_MASKED = -1e4  # added to the score of a padding token; its exp() is 0, also in float16


@dataclass(frozen=True)
class _Names:
    """Names of the tensors of a layer in a family of models."""

    layer: str
    query: str
    key: str
    value: str
    mixed: str
    mixed_norm: str
    up: str
    down: str
    norm: str


_BERT = _Names(
    layer="encoder.layer.{}.",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    mixed="attention.output.dense",
    mixed_norm="attention.output.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
    norm="output.LayerNorm",
)
_DISTILBERT = _Names(
    layer="transformer.layer.{}.",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    mixed="attention.out_lin",
    mixed_norm="sa_layer_norm",
    up="ffn.lin1",
    down="ffn.lin2",
    norm="output_layer_norm",
)
_MPNET = _Names(
    layer="encoder.layer.{}.",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    mixed="attention.attn.o",
    mixed_norm="attention.LayerNorm",
    up="intermediate.dense",
    down="output.dense",
    norm="output.LayerNorm",
)


class _Graph:
    """Nodes and constants of an ONNX graph; each method returns the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(f"integers {values}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        return self.constant(f"number {value!r}", np.array(value, np.float32))


class _Encoder:
    """Builds the graph of a checkpoint."""

    def __init__(self, source: Checkpoint, layers: int | None = None) -> None:
        self.source = source
        self.weights = Weights(source)
        self.graph = _Graph()
        config = source.config
        self.width = int(config["hidden_size"])
        self.heads = int(config["num_attention_heads"])
        self.inner = int(config["intermediate_size"])
        self.layers = int(config["num_hidden_layers"]) if layers is None else layers
        self.epsilon = float(config.get("layer_norm_eps", 1e-12))
        self.names = {"distilbert": _DISTILBERT, "mpnet": _MPNET}.get(source.family, _BERT)

    def linear(self, x: str, name: str, inputs: int, outputs: int, scale: float = 1.0) -> str:
        """Apply a dense layer; `scale` multiplies its weights, and so its result."""
        weight = self.weights.get(f"{name}.weight", outputs, inputs).T * np.float32(scale)
        bias = self.weights.get(f"{name}.bias", outputs) * np.float32(scale)
        product = self.graph.add("MatMul", x, self.graph.constant(f"{name}.weight", weight))
        return self.graph.add("Add", product, self.graph.constant(f"{name}.bias", bias))

    def norm(self, x: str, name: str, width: int) -> str:
        """Apply a LayerNorm over the last axis."""
        scale = self.graph.constant(f"{name}.weight", self.weights.get(f"{name}.weight", width))
        shift = self.graph.constant(f"{name}.bias", self.weights.get(f"{name}.bias", width))
        return self.graph.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=self.epsilon)

    def embedded(self) -> str:
        """Return the sum of the embeddings of token, position and type: [batch, tokens, width]."""
        graph, config, family = self.graph, self.source.config, self.source.family
        width = int(config.get("embedding_size", self.width)) if family == "electra" else self.width
        words = self.weights.get(
            "embeddings.word_embeddings.weight", int(config["vocab_size"]), width
        )
        x = graph.add("Gather", graph.constant("words", words), "input_ids")
        places = self.weights.get(
            "embeddings.position_embeddings.weight", int(config["max_position_embeddings"]), width
        )[self.source.position_offset :]
        kinds = 0 if family in ("distilbert", "mpnet") else int(config.get("type_vocab_size", 2))
        if kinds:
            types = self.weights.get("embeddings.token_type_embeddings.weight", kinds, width)
            if kinds == 1:  # the type of every token is 0, for any input
                places = places + types[0]
            else:
                typed = graph.add("Gather", graph.constant("types", types), "token_type_ids")
                x = graph.add("Add", x, typed)
        # Padding is on the right, so the position of a text's i-th token is always i.
        sliced = graph.add(
            "Slice", graph.constant("places", places), graph.integers(0), self.length()
        )
        x = self.norm(graph.add("Add", x, sliced), "embeddings.LayerNorm", width)
        if width != self.width:
            x = self.linear(x, "embeddings_project", width, self.width)
        return x

    def length(self) -> str:
        """Return the number of tokens, as a tensor of one element."""
        return self.graph.add("Shape", "input_ids", start=1, end=2)

    def activated(self, x: str) -> str:
        """Apply the activation of config.json."""
        graph, kind = self.graph, self.source.config.get("hidden_act", "gelu")
        if kind == "relu":
            return graph.add("Relu", x)
        if kind in ("gelu", "gelu_python"):
            scaled = graph.add("Div", x, graph.number(math.sqrt(2)))
            raised = graph.add("Add", graph.add("Erf", scaled), graph.number(1.0))
            return graph.add("Mul", graph.add("Mul", x, raised), graph.number(0.5))
        if kind in ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"):
            cube = graph.add("Mul", graph.add("Mul", x, x), x)
            inner = graph.add("Add", x, graph.add("Mul", cube, graph.number(0.044715)))
            bent = graph.add("Tanh", graph.add("Mul", inner, graph.number(math.sqrt(2 / math.pi))))
            raised = graph.add("Add", bent, graph.number(1.0))
            return graph.add("Mul", graph.add("Mul", x, raised), graph.number(0.5))
        raise self.source.failure(
            "config.json", f"has hidden_act {kind!r}", "supported are gelu, gelu_new and relu"
        )

    def bias(self, mask: str) -> str:
        """Return the bias of attention scores: [batch or 1, heads or 1, tokens or 1, tokens].

        `mask` is 1 for a token and 0 for padding.
        """
        graph = self.graph
        absent = graph.add("Sub", graph.number(1.0), mask)
        hidden = graph.add("Mul", absent, graph.number(_MASKED))
        bias = graph.add("Unsqueeze", hidden, graph.integers(1, 2))
        if self.source.family != "mpnet":
            return bias
        buckets = int(self.source.config.get("relative_attention_num_buckets", 32))
        table = self.weights.get("encoder.relative_attention_bias.weight", buckets, self.heads)
        distances = relative_buckets(self.source.positions, buckets)
        near = graph.constant("distances", table[distances].transpose(2, 0, 1)[None])
        length = self.length()
        ends = graph.add("Concat", length, length, axis=0)
        near = graph.add("Slice", near, graph.integers(0, 0), ends, graph.integers(2, 3))
        return graph.add("Add", bias, near)

    def layer(self, x: str, bias: str, number: int) -> str:
        """Apply one layer: self-attention, then the feed-forward network."""
        graph, names = self.graph, self.names
        at = names.layer.format(number)
        size = self.width // self.heads

        def split(name: str, axes: list[int], scale: float = 1.0) -> str:
            y = self.linear(x, at + name, self.width, self.width, scale)
            y = graph.add("Reshape", y, graph.integers(0, 0, self.heads, size))
            return graph.add("Transpose", y, perm=axes)

        query = split(names.query, [0, 2, 1, 3], 1 / math.sqrt(size))
        key = split(names.key, [0, 2, 3, 1])
        value = split(names.value, [0, 2, 1, 3])
        scores = graph.add("Add", graph.add("MatMul", query, key), bias)
        shares = graph.add("Softmax", scores, axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        mixed = graph.add("Reshape", mixed, graph.integers(0, 0, self.width))
        mixed = self.linear(mixed, at + names.mixed, self.width, self.width)
        x = self.norm(graph.add("Add", mixed, x), at + names.mixed_norm, self.width)
        y = self.activated(self.linear(x, at + names.up, self.width, self.inner))
        y = self.linear(y, at + names.down, self.inner, self.width)
        return self.norm(graph.add("Add", y, x), at + names.norm, self.width)

    def pooled(self, x: str, mask: str, pooling: str) -> str:
        """Combine the vectors of the tokens to one vector: [batch, width]."""
        graph = self.graph
        if pooling == "cls":
            return graph.add("Gather", x, graph.constant("first", np.array(0, np.int64)), axis=1)
        counted = graph.add("Unsqueeze", mask, graph.integers(2))
        if pooling == "max":
            absent = graph.add("Sub", graph.number(1.0), counted)
            lowered = graph.add("Add", x, graph.add("Mul", absent, graph.number(-1e9)))
            return graph.add("ReduceMax", lowered, axes=[1], keepdims=0)
        total = graph.add("ReduceSum", graph.add("Mul", x, counted), graph.integers(1), keepdims=0)
        tokens = graph.add("ReduceSum", mask, graph.integers(1), keepdims=1)
        return graph.add("Div", total, graph.add("Max", tokens, graph.number(1e-9)))

    def built(self, pooling: str, normalize: bool) -> onnx.ModelProto:
        """Return the whole model."""
        graph = self.graph
        mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
        x, bias = self.embedded(), self.bias(mask)
        for number in range(self.layers):
            x = self.layer(x, bias, number)
        x = self.pooled(x, mask, pooling)
        if normalize:
            size = graph.add("ReduceL2", x, axes=[1], keepdims=1)
            x = graph.add("Div", x, graph.add("Max", size, graph.number(1e-12)))
        graph.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"], name="output"))
        size_in_bytes = sum(len(constant.raw_data) for constant in graph.constants.values())
        if size_in_bytes > _LIMIT:
            raise self.source.failure(
                "model.safetensors",
                f"holds {size_in_bytes / 1e9:.1f} GB as float32",
                f"one ONNX file holds at most {_LIMIT / 1e9} GB: use a smaller model",
            )
        tokens = ["batch", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        output = helper.make_tensor_value_info(
            "last_hidden_state", TensorProto.FLOAT, ["batch", self.width]
        )
        body = helper.make_graph(
            graph.nodes, self.source.family, inputs, [output], list(graph.constants.values())
        )
        return helper.make_model(
            body,
            producer_name="spark_sentiment",
            ir_version=_IR,
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )


def build(
    source: Checkpoint, pooling: str, normalize: bool, layers: int | None = None
) -> onnx.ModelProto:
    """Return the ONNX model of a checkpoint.

    Parameters
    ----------
    source : Checkpoint
        Result of `checkpoint.read`.
    pooling : {'mean', 'cls', 'max'}
        How to combine token vectors.
    normalize : bool
        Whether to scale vectors to length 1.
    layers : int, optional
        Number of layers of the model, from the first; all by default.

    Returns
    -------
    onnx.ModelProto
        Opset 17, IR version 9, weights as float32.

    Raises
    ------
    CheckpointError
        If a tensor is missing, or its shape does not match ``config.json``.
    """
    return _Encoder(source, layers).built(pooling, normalize)


def relative_buckets(length: int, buckets: int = 32, reach: int = 128) -> NDArray[np.int64]:
    """Return the bucket of the distance from each token to each other token: [length, length].

    One half of the buckets is for tokens on the left, the other half for tokens on the right. In
    each half, small distances have one bucket each, and larger distances share buckets on a
    logarithmic scale up to `reach` (Raffel et al., 2020, section 2.1; MPNet uses it).

    Examples
    --------
    >>> relative_buckets(4).tolist()
    [[0, 17, 18, 19], [1, 0, 17, 18], [2, 1, 0, 17], [3, 2, 1, 0]]
    """
    place = np.arange(length)
    distance = place[:, None] - place[None, :]
    half = buckets // 2
    own = half // 2
    away = np.abs(distance)
    scale = np.log(np.maximum(away, 1).astype(np.float32) / own) / math.log(reach / own)
    far = np.minimum(own + (scale * (half - own)).astype(np.int64), half - 1)
    return np.asarray(np.where(away < own, away, far) + half * (distance < 0), dtype=np.int64)
