"""The output layer: logits, or, where only the most probable token is asked for, that token alone.

A small model with a large vocabulary spends a quarter of each token on this layer, and a tenth more on writing and
searching its logits. A greedy choice is made while the weights are read (`engine.cpu.products`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from engine.cpu import products
from engine.cpu.compiled import kernels
from engine.cpu.compiled.team import Array, Team
from engine.cpu.linears import Int8Linear, Linear, PackedLinear

NO_TOKEN = np.iinfo(np.int64).max
"""Where nothing was chosen."""


class NoChoiceError(ArithmeticError):
    """Not one of a row's logits is a number."""


class Head:
    """Takes the place of an SGLang output layer's `quant_method`."""

    def __init__(self, linear: Linear) -> None:
        """Its weight is [vocabulary, width]."""
        self._linear = linear

    @staticmethod
    def embedding(layer: Any, ids: torch.Tensor) -> torch.Tensor:
        """The other use of a layer that is both: rows of its weight."""
        return torch.nn.functional.embedding(ids, layer.weight)

    def apply(self, _layer: object, hidden: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [rows, vocabulary] in float32."""
        values, factors = quantized(hidden)
        logits = self._linear(torch.from_numpy(values)).mul_(torch.from_numpy(factors).unsqueeze(1))
        return logits if bias is None else logits.add_(bias)


class ChoosingHead(Head):
    """One that can choose without computing all logits."""

    def __init__(self, linear: PackedLinear, team: Team) -> None:
        super().__init__(linear)
        self._packed = linear
        self._team = team
        shape = team.threads, products.MOST_CHOICES
        self._best, self._chosen = np.empty(shape, np.float32), np.empty(shape, np.int64)
        self._choices: list[int] | None = None

    @contextmanager
    def choosing(self) -> Generator[list[int]]:
        """While this lasts, `apply` only chooses each row's next token: that is put into the list, and what it returns
        is [rows, 1] and means nothing."""
        self._choices = []
        try:
            yield self._choices
        finally:
            self._choices = None

    def apply(self, _layer: object, hidden: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        if self._choices is None or bias is not None:
            return super().apply(_layer, hidden, bias)
        values, factors = quantized(hidden)
        for begin in range(0, len(values), products.MOST_CHOICES):
            end = begin + products.MOST_CHOICES
            context = self.context(values[begin:end], factors[begin:end])
            operations = np.array([products.product(products.CHOOSE, context)], np.int64)
            self.begin()
            self._team.run(operations, len(values[begin:end]), torch.get_num_threads())
            self._choices.extend(self.chosen(len(values[begin:end])))
        return torch.zeros(len(values), 1)

    def context(self, values: Array, factors: Array) -> Array:
        """Of `products.CHOOSE` for these rows, of which there may be `products.MOST_CHOICES`; the caller sees to it."""
        context = self._packed.context(values.ctypes.data, 0)
        context[products.FACTORS] = factors.ctypes.data
        context[products.BEST], context[products.CHOSEN] = self._best.ctypes.data, self._chosen.ctypes.data
        return context

    def begin(self) -> None:
        """Call before a choice."""
        self._best.fill(-np.inf)
        self._chosen.fill(NO_TOKEN)

    def chosen(self, rows: int) -> list[int]:
        """The first of the most probable tokens of each row, after a choice. Raises NoChoiceError."""
        best, chosen = self._best[:, :rows], self._chosen[:, :rows]
        first = np.where(best == best.max(axis=0), chosen, NO_TOKEN).min(axis=0)
        if (first == NO_TOKEN).any():
            raise NoChoiceError(
                f"The model computed no logit that is a number for row {int(first.argmax())} of {rows}. Its weights "
                "may be damaged: fetch them again; or do not bear 8 bits: set FOREWORD_LINEARS=bf16."
            )
        return first.tolist()


def quantized(hidden: torch.Tensor) -> tuple[Array, Array]:
    """uint8 [rows, width] and the scale of each row."""
    bits = hidden.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
    values, factors = np.empty(bits.shape, np.uint8), np.empty(len(bits), np.float32)
    kernels.quantize(bits, values, factors, 0, len(bits))
    return values, factors


def head_of(weight: torch.Tensor, team: Team) -> Head:
    """The form that is quicker here."""
    if products.fits(weight.shape[1]):  # also with AMX: of a prompt only the last row comes here
        return ChoosingHead(PackedLinear(weight, team), team)
    return Head(Int8Linear(weight))
