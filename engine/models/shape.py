"""The shape of a model, as its published config.json gives it, and the arithmetic of memory that follows."""

from __future__ import annotations

import msgspec

BF16_BYTES = 2
FP32_BYTES = 4
FP8_BLOCK = 128
"""Qwen's FP8 files scale their weights in blocks of 128 × 128; a slice of a matrix must hold whole ones."""


class Experts(msgspec.Struct, frozen=True):
    """A mixture of experts in place of each layer's MLP."""

    count: int
    active: int
    """Experts that a token goes through."""
    intermediate: int
    shared_intermediate: int = 0
    """Of the expert that all tokens go through; 0 where there is none."""


class LinearAttention(msgspec.Struct, frozen=True):
    """Gated DeltaNet layers: a state of constant size for each request instead of keys and values per token."""

    layers: int
    key_heads: int
    value_heads: int
    head_size: int
    convolution: int
    """Tokens that the convolution before it sees."""

    def channels(self) -> int:
        return (2 * self.key_heads + self.value_heads) * self.head_size

    def parameters(self, hidden: int) -> int:
        """Of one layer: the projections in and out, those of the two gates, convolution, decay, norm."""
        values = self.value_heads * self.head_size
        projected = self.channels() + values + 2 * self.value_heads
        small = self.channels() * self.convolution + 2 * self.value_heads + self.head_size
        return hidden * projected + values * hidden + small

    def state_bytes(self) -> int:
        """Of one request, or of one snapshot kept for re-use: bfloat16 convolution, float32 recurrence."""
        kept = self.channels() * (self.convolution - 1) * BF16_BYTES
        return self.layers * (kept + self.value_heads * self.head_size**2 * FP32_BYTES)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder-only transformer. Sizes are numbers of elements."""

    sglang: str
    """Its name among SGLang's models: `architectures` of config.json."""
    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    intermediate: int
    vocabulary: int
    rope_theta: float
    rms_norm_eps: float = 1e-6
    tied: bool = False
    """Whether the output shares the input's embedding."""
    qkv_bias: bool = False
    qk_norm: bool = False
    gated_attention: bool = False
    experts: Experts | None = None
    linear: LinearAttention | None = None

    def attention_layers(self) -> int:
        """Layers that keep keys and values."""
        return self.layers - (self.linear.layers if self.linear else 0)

    def kv_bytes_per_token(self) -> int:
        """Keys and values in bfloat16."""
        return self.attention_layers() * 2 * self.kv_heads * self.head_size * BF16_BYTES

    def state_bytes(self) -> int:
        """Memory of a request that does not grow with its length."""
        return self.linear.state_bytes() if self.linear else 0

    def parameters(self) -> int:
        matrices = self._attention_matrices() + self._mlp_matrices()
        return self._linear_attention() + matrices + self._outside_matrices()

    def active_parameters(self) -> int:
        """Those that one token is multiplied with, embeddings included, as model cards count them."""
        experts = self.experts
        if experts is None:
            return self.parameters()
        idle = experts.count - experts.active
        return self.parameters() - self.layers * idle * self._expert(experts.intermediate)

    def weights_bytes(self) -> int:
        return self.parameters() * BF16_BYTES

    def fp8_weights_bytes(self) -> int:
        """One byte for what Qwen's FP8 files quantize (attention, experts), with a scale per block; two for
        embeddings, routers and norms."""
        scaled = self._attention_matrices() + self._mlp_matrices()
        if self.linear is not None:
            scaled += self._linear_attention()  # but for its small tensors: less than a thousandth
        return self.weights_bytes() - scaled + scaled // FP8_BLOCK**2 * BF16_BYTES

    def splits_in_blocks(self, tensor_parallel: int, expert_parallel: int = 1) -> bool:
        """Whether each GPU's slice of an expert holds whole FP8 blocks; SGLang refuses other degrees."""
        experts = self.experts
        degree = tensor_parallel // expert_parallel
        sizes = [experts.intermediate, experts.shared_intermediate] if experts else [self.intermediate]
        return all(size % (degree * FP8_BLOCK) == 0 for size in sizes)

    def _attention_matrices(self) -> int:
        queries = self.heads * self.head_size * (2 if self.gated_attention else 1)
        keys_and_values = 2 * self.kv_heads * self.head_size
        output = self.heads * self.head_size
        return self.attention_layers() * self.hidden * (queries + keys_and_values + output)

    def _mlp_matrices(self) -> int:
        if self.experts is None:
            return self.layers * self._expert(self.intermediate)
        of_experts = self.experts.count * self._expert(self.experts.intermediate)
        return self.layers * (of_experts + self._expert(self.experts.shared_intermediate))

    def _expert(self, intermediate: int) -> int:
        """Gate, up and down projections."""
        return 3 * self.hidden * intermediate

    def _linear_attention(self) -> int:
        return self.linear.layers * self.linear.parameters(self.hidden) if self.linear else 0

    def _outside_matrices(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        biases = (self.heads + 2 * self.kv_heads) * self.head_size if self.qkv_bias else 0
        head_norms = 2 * self.head_size if self.qk_norm else 0
        routers = 0
        if self.experts is not None:
            shared_gate = self.hidden if self.experts.shared_intermediate else 0
            routers = self.layers * (self.experts.count * self.hidden + shared_gate)
        norms = self.hidden * (2 * self.layers + 1)
        return embeddings + self.attention_layers() * (biases + head_norms) + routers + norms
