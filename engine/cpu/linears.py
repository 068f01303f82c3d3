"""Linear layers with 8-bit weights and 8-bit activations: by our own kernels where the processor has AVX-512 VNNI or
AVX2, by oneDNN's in PyTorch elsewhere and with AMX. The weights lie in memory once, in the form that their kernels
read.

Weights are rounded to int8 with one scale per output channel, each row of activations to uint8 with a scale of its own
(dynamic quantization; the W8A8 scheme of LLM.int8() and SmoothQuant, arXiv:2208.07339 and 2211.10438, without their
treatment of outliers, which these models do not need: see benchmarks/LOG.md for the perplexities).
One row is limited by reading the weights, so half the bytes are half the time; many rows by arithmetic, where the
integer dot products of AVX-512 VNNI and AMX do twice the work of bfloat16, and those of AVX2 more than ten times what
PyTorch does in bfloat16 there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from engine.cpu import products
from engine.cpu.compiled.kernels import ZERO_POINT
from engine.cpu.compiled.team import Array, Team, team_of
from engine.cpu.compiled.vectors import FLOAT, has_feature
from engine.cpu.threads import most_threads, quickest

_LEVELS = 127
ROUNDED_BYTES = 16 << 20
"""Of a weight in float32 that is rounded at a time: an output layer as a whole takes a gigabyte."""

PROBE_SHAPE = (3, 256, 64)
"""Rows, inputs, outputs of the product that is checked at start: enough inputs to overflow 16-bit sums."""
PROBE_TOLERANCE = 1e-5
TRIAL_WIDTH = 2048
"""Inputs and outputs of the product that is timed at start: its weights do not fit beside a core in either format."""
TRIAL_ROWS = (1, 64)
"""A token, and a piece of a prompt."""
SLOWER = 1.25
"""Times as long as bfloat16 may take is not yet slower: others compute meanwhile. Where PyTorch falls back to its
reference code it is a hundred times."""


@cache
def _operator(name: str) -> Callable[..., torch.Tensor]:
    """oneDNN's in PyTorch. Raises NotImplementedError where this build has none, and only when it is asked for."""
    try:
        packet: Any = getattr(torch.ops.onednn, name)
    except AttributeError:
        raise NotImplementedError(
            f"PyTorch {torch.__version__} was built without onednn::{name}; install the wheel of the lock file, or set "
            "FOREWORD_LINEARS=bf16"
        ) from None
    return packet.default


class Int8Linear:
    """x [rows, inputs] uint8 → x @ weight.T [rows, outputs] float32, each row still lacking its activations' scale."""

    __slots__ = ("inputs", "outputs", "packed", "scales", "zero_points")

    def __init__(self, weight: torch.Tensor) -> None:
        """`weight` is [outputs, inputs] of any floating type; it is not kept."""
        self.outputs, self.inputs = weight.shape
        quantized, self.scales = round_rows(weight)
        self.packed: torch.Tensor = _operator("qlinear_prepack")(quantized, None)
        self.zero_points = torch.zeros(self.outputs, dtype=torch.int32)

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        return _operator("qlinear_pointwise")(
            activations,
            1.0,
            ZERO_POINT,
            self.packed,
            self.scales,
            self.zero_points,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )


class PackedLinear:
    """The same by our kernels (`engine.cpu.products`)."""

    __slots__ = ("_team", "inputs", "outputs", "scales", "starts", "weights")

    def __init__(self, weight: torch.Tensor, team: Team) -> None:
        """`weight` is [outputs, inputs] of any floating type; it is not kept. `products.fits(inputs)`."""
        self.outputs, self.inputs = weight.shape
        self._team = team
        quantized, scales = round_rows(weight)
        self.weights, self.starts = products.packed(quantized.numpy())
        self.scales: Array = np.zeros(len(self.starts), np.float32)
        self.scales[: self.outputs] = scales.numpy()

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        out = torch.empty(len(activations), self.outputs)
        context = self.context(activations.data_ptr(), out.data_ptr())
        operations = np.array([products.product(products.MULTIPLY, context)], np.int64)
        self._team.run(operations, len(activations), torch.get_num_threads())
        return out

    def context(self, activations: int, out: int) -> Array:
        """Of a product of uint8 rows at one address into float32 rows at another."""
        words: Array = np.zeros(products.CONTEXT_WORDS, np.int64)
        words[products.WEIGHTS], words[products.STARTS] = self.weights.ctypes.data, self.starts.ctypes.data
        words[products.SCALES], words[products.WIDTH] = self.scales.ctypes.data, self.inputs
        words[products.ACTIVATIONS], words[products.OUT], words[products.RESULTS] = (
            activations,
            out,
            self.outputs,
        )
        return words


Linear = Int8Linear | PackedLinear


def prefers_onednn() -> bool:
    """AMX multiplies eight times as much at once, and our kernels do not know it."""
    return has_feature("amx-int8")


def linear_of(weight: torch.Tensor, team: Team) -> Linear:
    """The form that is quicker here."""
    if products.fits(weight.shape[1]) and not prefers_onednn():
        return PackedLinear(weight, team)
    return Int8Linear(weight)


def round_rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 [outputs, inputs] and float32 [outputs] whose product is nearest to `weight`."""
    outputs, inputs = weight.shape
    rounded, scales = torch.empty(outputs, inputs, dtype=torch.int8), torch.empty(outputs)
    step = max(1, ROUNDED_BYTES // (inputs * FLOAT))
    for start in range(0, outputs, step):
        rows = slice(start, start + step)
        wide = weight[rows].detach().float()
        scales[rows] = (wide.abs().amax(dim=1) / _LEVELS).clamp_(min=torch.finfo(torch.float32).tiny)
        rounded[rows] = (wide / scales[rows].unsqueeze(1)).round_()
    return rounded, scales


def works_here() -> str:
    """Empty where this processor multiplies exactly and quickly, else why not."""
    try:
        exact = is_exact(lambda weight: linear_of(weight, team_of(1)))
    except (RuntimeError, NotImplementedError) as error:
        return f"PyTorch cannot multiply 8-bit integers here: {error}"
    if not exact:
        return "this processor has no exact 8-bit dot products"
    for rows, (ours_s, bf16_s) in seconds_here().items():
        if ours_s > SLOWER * bf16_s:
            return (
                f"8-bit integers are slower than bfloat16 here: {1000 * ours_s:.2f} ms and {1000 * bf16_s:.2f} ms for "
                f"{rows} rows"
            )
    return ""


def is_exact(make: Callable[[torch.Tensor], Linear]) -> bool:
    """Whether products of this form are exact here.

    Without dot-product instructions (VNNI, AMX, Arm's dotprod) oneDNN's sums of two products can saturate in 16 bits.
    Raises RuntimeError, NotImplementedError where they cannot be had at all.
    """
    rows, inputs, outputs = PROBE_SHAPE
    generator = torch.Generator().manual_seed(0)
    activations = torch.randint(0, 256, (rows, inputs), dtype=torch.uint8, generator=generator)
    activations[0] = 255
    weight = torch.randint(-_LEVELS, _LEVELS + 1, (outputs, inputs), generator=generator).float()
    weight[0], weight[:, 0] = _LEVELS, _LEVELS  # the latter makes each row's scale 1
    expected = (activations.double() - ZERO_POINT) @ weight.double().T
    found = make(weight)(activations).double()
    return bool((found - expected).abs().max() <= PROBE_TOLERANCE * expected.abs().max())


def seconds_here() -> dict[int, tuple[float, float]]:
    """By rows how long one linear layer takes in 8 bits and in bfloat16, each with as many threads as are set."""
    weight = torch.randn(TRIAL_WIDTH, TRIAL_WIDTH, generator=torch.Generator().manual_seed(0)).bfloat16()
    linear = linear_of(weight, team_of(most_threads()))
    found: dict[int, tuple[float, float]] = {}
    for rows in TRIAL_ROWS:
        narrow = torch.full((rows, TRIAL_WIDTH), ZERO_POINT + 1, dtype=torch.uint8)
        wide = torch.ones(rows, TRIAL_WIDTH, dtype=torch.bfloat16)
        ours, bf16 = quickest(
            lambda narrow=narrow: linear(narrow), lambda wide=wide: torch.nn.functional.linear(wide, weight)
        )
        found[rows] = ours, bf16
    return found
