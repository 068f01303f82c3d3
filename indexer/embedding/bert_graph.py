"""A BERT as an ONNX graph from token ids to a unit vector, with 8-bit products where wanted.

Weights are rounded to 8 bits with one scale per output, activations by ONNX Runtime with one scale per text (dynamic
quantization). Before that, what is large in a few inputs of a product is moved from the activations into its weights
(SmoothQuant, arXiv:2211.10438), which halves the error. Each run is of one text: nothing is padded, and a text's vector
does not depend on what is beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from indexer.embedding.folder import BrokenModel, ModelFacts
from indexer.embedding.models import POSITIONS_AFTER_PADDING, Precision, session_options, tokenizer_of
from indexer.embedding.probe import pieces

_ACTIVATIONS = {"gelu": "Gelu", "gelu_new": "FastGelu", "gelu_pytorch_tanh": "FastGelu"}
"""ONNX Runtime's own operators (domain com.microsoft); Gelu is the exact one, by the error function."""

_OPSET = 20
_IR_VERSION = 10
"""ONNX 1.16 and later; what any ONNX Runtime of the last two years reads."""

_SMOOTHING = 0.65
"""How much of what is large is moved: at 0.5 and 0.8 the error is larger, below 0.5 it grows tenfold."""

_CALIBRATED_ON = 32
"""Texts; twice as many change nothing."""

_MICROSOFT = "com.microsoft"
_LEVELS = 127
_ZERO_POINT = 128
_LAYER_NORM = ("LayerNorm.weight", "LayerNorm.bias")

Array = NDArray[Any]


def build(facts: ModelFacts, precision: Precision) -> bytes:
    """The serialized graph: input `ids` int32 [1, tokens], output `vector` float32 [1, dimensions].
    Raises BrokenModel, and OSError for files that cannot be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(facts.folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    try:
        weights = load_file(folder / "model.safetensors")
        if precision == "float32":
            return _Graph(config, weights, facts).model()
        largest = _largest_inputs(facts, _Graph(config, weights, facts))
        return _Graph(config, weights, facts, precision, largest).model()
    except (SafetensorError, FileNotFoundError) as failed:
        raise BrokenModel(f"{folder}/model.safetensors cannot be read: {failed}") from failed
    except KeyError as missing:
        raise BrokenModel(
            f"{folder} is no {facts.architecture} as it says: {missing} is missing"
        ) from missing


def _largest_inputs(facts: ModelFacts, graph: _Graph) -> dict[str, Array]:
    """For each product, by the name of its weights, the largest size of each input over some code."""
    import onnxruntime

    model = onnx.load_from_string(graph.model())
    watched = sorted(set(graph.inputs.values()))
    for name in watched:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    session: Any = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    encode = tokenizer_of(facts)
    found: dict[str, Array] = {}
    for text in pieces(_CALIBRATED_ON):
        values = session.run(watched, {"ids": np.array([encode(text)], np.int32)})
        for name, value in zip(watched, values, strict=True):
            largest = np.abs(value[0]).max(axis=0)
            found[name] = np.maximum(found[name], largest) if name in found else largest
    return {product: found[name] for product, name in graph.inputs.items()}


class _Graph:
    def __init__(
        self,
        config: dict[str, Any],
        weights: dict[str, Array],
        facts: ModelFacts,
        precision: Precision = "float32",
        largest: Mapping[str, Array] | None = None,
    ) -> None:
        """`largest`: by the name of a product's weights, the largest size of each of its inputs."""
        self._config = config
        prefix = next(
            (it for it in ("", *(f"{name}." for name in ("bert", "roberta"))) if _has(weights, it)), ""
        )
        self._weights = {name.removeprefix(prefix): weight for name, weight in weights.items()}
        self._facts = facts
        self._precision = precision
        self._largest = largest or {}
        self.inputs: dict[str, str] = {}
        """By the name of each product's weights, what they are multiplied with."""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> bytes:
        x = self._embeddings()
        for layer in range(self._config["num_hidden_layers"]):
            x = self._layer(x, f"encoder.layer.{layer}.")
        graph = helper.make_graph(
            [*self._nodes, *self._pooling(x)],
            "embedder",
            [helper.make_tensor_value_info("ids", TensorProto.INT32, [1, "tokens"])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, self._facts.dimensions])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString()

    # ------------------------------------------------------------ parts

    def _embeddings(self) -> str:
        words = self._weights["embeddings.word_embeddings.weight"]
        # float16 halves the file and the memory; its error is a hundredth of that of the products
        table = self._constant("words", words.astype(np.float16))
        first = self._config["pad_token_id"] + 1 if self._facts.architecture in POSITIONS_AFTER_PADDING else 0
        positions = self._weights["embeddings.position_embeddings.weight"][first:]
        positions = (
            positions[: self._facts.max_tokens] + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        found = self._add("Cast", [self._add("Gather", [table, "ids"])], to=TensorProto.FLOAT)
        length = self._add(
            "Slice", [self._add("Shape", ["ids"]), self._whole("one", 1), self._whole("two", 2)]
        )
        zero = self._whole("zero", 0)
        here = self._add("Slice", [self._constant("positions", positions), zero, length, zero])
        return self._norm(self._add("Add", [found, here]), "embeddings.")

    def _layer(self, x: str, name: str) -> str:
        parts = [f"{name}attention.self.{part}." for part in ("query", "key", "value")]
        stacked = self._linear(x, *parts)
        split = [f"{stacked}_{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [stacked], split, axis=-1, num_outputs=len(split)))
        heads = self._config["num_attention_heads"]
        attended = self._add("MultiHeadAttention", split, domain=_MICROSOFT, num_heads=heads)
        out = self._linear(attended, f"{name}attention.output.dense.")
        x = self._norm(self._add("Add", [out, x]), f"{name}attention.output.")
        wide = self._activation(self._linear(x, f"{name}intermediate.dense."))
        out = self._linear(wide, f"{name}output.dense.")
        return self._norm(self._add("Add", [out, x]), f"{name}output.")

    def _activation(self, x: str) -> str:
        named = self._config.get("hidden_act", "gelu")
        if named == "relu":
            return self._add("Relu", [x])
        if named not in _ACTIVATIONS:
            raise BrokenModel(f"{self._facts.folder} has the activation {named!r}, which is not known here")
        return self._add(_ACTIVATIONS[named], [x], domain=_MICROSOFT)

    def _pooling(self, x: str) -> list[onnx.NodeProto]:
        """Mean of all tokens, or the first, as a unit vector."""
        if self._facts.pooling == "mean":
            pooled = helper.make_node(
                "ReduceMean", [x, self._whole("tokens_axis", 1)], ["pooled"], keepdims=0
            )
        else:
            pooled = helper.make_node("Gather", [x, self._scalar("first", 0)], ["pooled"], axis=1)
        return [pooled, helper.make_node("LpNormalization", ["pooled"], ["vector"], axis=-1, p=2)]

    def _norm(self, x: str, name: str) -> str:
        scale, bias = (self._constant(name + part, self._weights[name + part]) for part in _LAYER_NORM)
        return self._add("LayerNormalization", [x, scale, bias], epsilon=self._config["layer_norm_eps"])

    def _linear(self, x: str, *names: str) -> str:
        """x @ weight.T + bias, of several layers of the same input side by side."""
        weight = np.concatenate([self._weights[name + "weight"] for name in names]).T.astype(np.float32)
        bias = np.concatenate([self._weights[name + "bias"] for name in names]).astype(np.float32)
        name = names[0]
        self.inputs[name] = x
        if self._precision == "float32":
            product = self._add("MatMul", [x, self._constant(name + "weight", weight)])
            return self._add("Add", [product, self._constant(name + "bias", bias)])
        moved = _moved(self._largest[name], np.abs(weight).max(axis=1))
        x = self._add("Mul", [x, self._constant(name + "moved", 1 / moved)])
        weight = weight * moved[:, None]
        scales = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / _LEVELS
        levels = np.rint(weight / scales)
        signed = self._precision == "int8"
        kind, zero = (np.int8, 0) if signed else (np.uint8, _ZERO_POINT)
        inputs = [
            x,
            self._constant(name + "weight", (levels + zero).astype(kind)),
            self._constant(name + "scales", scales.astype(np.float32)),
            self._constant(name + "zeros", np.full(len(bias), zero, kind)),
            self._constant(name + "bias", bias),
        ]
        return self._add("DynamicQuantizeMatMul", inputs, domain=_MICROSOFT)

    # ------------------------------------------------------------ nodes

    def _add(self, operator: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        output = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def _constant(self, name: str, value: Array) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _whole(self, name: str, value: int) -> str:
        return name if self._known(name) else self._constant(name, np.array([value], np.int64))

    def _scalar(self, name: str, value: int) -> str:
        self._constants.append(helper.make_tensor(name, TensorProto.INT64, [], [value]))
        return name

    def _known(self, name: str) -> bool:
        return any(constant.name == name for constant in self._constants)


def _moved(largest: Array, weights: Array) -> Array:
    """By how much each input is made smaller and its weights larger."""
    tiny = np.finfo(np.float32).eps
    found = np.maximum(largest, tiny) ** _SMOOTHING / np.maximum(weights, tiny) ** (1 - _SMOOTHING)
    return (found / np.exp(np.log(found).mean())).astype(np.float32)


def _has(weights: dict[str, Array], prefix: str) -> bool:
    return f"{prefix}embeddings.word_embeddings.weight" in weights
