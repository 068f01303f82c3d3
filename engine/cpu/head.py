"""The output layer: logits, or, where only the most probable token is asked for, that token alone.

A small model with a large vocabulary spends a quarter of each token on this layer, and a tenth more on writing and
searching its logits. A greedy choice is made while the weights are read (`engine.cpu.products`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from engine.cpu import kernels, products
from engine.cpu.linears import round_rows

Array = np.ndarray[Any, Any]

_FLIP = np.uint8(kernels.ZERO_POINT)
"""Flipping this bit takes the zero point off."""


class Head:
    """Takes the place of an SGLang output layer's `quant_method`."""

    def __init__(self, weight: torch.Tensor, threads: int) -> None:
        """`weight` is [vocabulary, width] of any floating type, and `products.fits(width)`."""
        quantized, scales = round_rows(weight)
        self._weights: Array = products.packed(quantized.numpy())
        self._scales: Array = scales.numpy()
        self._pool = ThreadPoolExecutor(max(1, threads - 1), "foreword-head")
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

    @staticmethod
    def embedding(layer: Any, ids: torch.Tensor) -> torch.Tensor:
        """The other use of a layer that is both: rows of its weight."""
        return torch.nn.functional.embedding(ids, layer.weight)

    def apply(self, _layer: object, hidden: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Logits [rows, vocabulary] in float32."""
        inputs, factors = rounded(hidden)
        sums = np.empty(len(inputs), np.int32)
        products.row_sums(inputs, sums)
        if self._choices is not None and bias is None:
            self._choices.extend(self._choose(inputs, sums))
            return torch.zeros(len(inputs), 1)
        logits = torch.empty(len(inputs), len(self._scales))
        arguments = (self._weights, inputs, sums, factors, self._scales, logits.numpy())
        self._share(lambda part, begin, end: products.multiply(*arguments, begin, end))
        return logits if bias is None else logits.add_(bias)

    def _choose(self, inputs: Array, sums: Array) -> list[int]:
        parts = torch.get_num_threads()
        best, chosen = np.empty((parts, len(inputs)), np.float32), np.zeros((parts, len(inputs)), np.int64)

        def choose(part: int, begin: int, end: int) -> None:
            arguments = (self._weights, inputs, sums, self._scales)
            products.choose(*arguments, best[part], chosen[part], begin, end)

        self._share(choose)
        winners = best.argmax(axis=0)
        return chosen[winners, np.arange(len(inputs))].tolist()

    def _share(self, work: Callable[[int, int, int], object]) -> None:
        """`work(part, begin, end)` over all blocks, in equal parts for the threads that compute now."""
        parts, blocks = torch.get_num_threads(), len(self._weights)
        edges = [blocks * part // parts for part in range(parts + 1)]
        others = [self._pool.submit(work, part, edges[part], edges[part + 1]) for part in range(1, parts)]
        work(0, 0, edges[1])
        wait(others)
        for other in others:
            other.result()


def rounded(hidden: torch.Tensor) -> tuple[Array, Array]:
    """int8 [rows, width] and float32 [rows] whose product is nearest to `hidden`."""
    bits = hidden.to(torch.bfloat16).contiguous().view(torch.uint16).numpy()
    values, factors = np.empty(bits.shape, np.uint8), np.empty(len(bits), np.float32)
    kernels.quantize(bits, values, factors, 0, len(bits))
    return (values ^ _FLIP).view(np.int8), factors
