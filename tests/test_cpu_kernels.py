"""The fused kernels and integer layers of the CPU plug-in, each against plain arithmetic in float64."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cpu import linears
from engine.cpu.compiled import kernels
from engine.cpu.linears import Int8Linear, is_exact, round_rows, works_here

EPSILON = np.float32(1e-6)
ROWS = 5


def random(*shape, seed=0, size=1.0):
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)


def as_bits(values):
    return torch.from_numpy(values).bfloat16().view(torch.uint16).numpy()


def of_bits(bits):
    return torch.from_numpy(bits).view(torch.bfloat16).float().numpy()


def quantized(rows, width):
    return np.zeros((rows, width), np.uint8), np.full(rows, np.nan, np.float32)


def assert_stands_for(values, scales, expected):
    """Each quantized value is the nearest step to what it stands for, and the largest uses the whole range."""
    found = (values.astype(np.float64) - kernels.ZERO_POINT) * scales[:, None]
    assert np.all(np.abs(found - expected) <= 0.5001 * scales[:, None] + 1e-6 * np.abs(expected))
    assert np.all(np.abs(values.astype(int) - kernels.ZERO_POINT).max(axis=1) == 127)


def normed(rows, weight):
    wide = rows.astype(np.float64)
    return wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + EPSILON) * weight


@pytest.mark.parametrize("width", [1, 7, 64, 896])
def test_norm_quantize(width):
    rows, weight = random(ROWS, width, size=30), random(width, seed=1) + 2
    values, scales = quantized(ROWS, width)
    kernels.norm_quantize(rows, weight, EPSILON, values, scales, 0, ROWS)
    assert_stands_for(values, scales, normed(rows, weight))


def test_add_norm_quantize_adds_in_place():
    residual, delta, weight = random(ROWS, 96), random(ROWS, 96, seed=1, size=50), random(96, seed=2) + 2
    factors = random(ROWS, seed=3)
    expected = residual.astype(np.float64) + delta.astype(np.float64) * factors[:, None]
    values, scales = quantized(ROWS, 96)
    kernels.add_norm_quantize(residual, delta, factors, weight, EPSILON, values, scales, 0, ROWS)
    np.testing.assert_allclose(residual, expected, rtol=1e-5, atol=1e-5)
    assert_stands_for(values, scales, normed(residual, weight))


def test_last_norm():
    residual, delta, weight = random(ROWS, 96), random(ROWS, 96, seed=1), random(96, seed=2) + 2
    factors = random(ROWS, seed=3)
    expected = normed(residual + delta * factors[:, None], weight)
    out = np.zeros((ROWS, 96), np.uint16)
    kernels.add_norm(residual, delta, factors, weight, EPSILON, out, 0, ROWS)
    np.testing.assert_allclose(of_bits(out), expected, rtol=2**-8)


@pytest.mark.parametrize("size", [0.01, 1.0, 60.0])
def test_gate_quantize(size):
    rows, factors = random(ROWS, 2 * 48, size=size), np.abs(random(ROWS, seed=1)) + 0.1
    gate, up = np.split(rows.astype(np.float64) * factors[:, None], 2, axis=1)
    values, scales = quantized(ROWS, 48)
    kernels.gate_quantize(rows, factors, values, scales, 0, ROWS)
    with np.errstate(over="ignore"):
        assert_stands_for(values, scales, gate / (1 + np.exp(-gate)) * up)


def test_rows_of_zeros_are_zeros():
    values, scales = quantized(2, 8)
    kernels.quantize(np.zeros((2, 8), np.uint16), values, scales, 0, 2)
    assert np.all(values == kernels.ZERO_POINT)
    assert np.all(scales == 0)


def test_only_the_asked_rows_are_touched():
    values, scales = quantized(ROWS, 16)
    kernels.quantize(as_bits(random(ROWS, 16)), values, scales, 1, 3)
    assert np.isnan(scales).tolist() == [True, False, False, True, True]
    assert values[[0, 3, 4]].sum() == 0


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("with_norms", [True, False])
def test_rotate(with_bias, with_norms):
    query_heads, kv_heads, dim = 4, 2, 16
    width = (query_heads + 2 * kv_heads) * dim
    rows, factors = random(ROWS, width), np.abs(random(ROWS, seed=1)) + 0.5
    bias = random(width, seed=2) if with_bias else np.empty(0, np.float32)
    norms = random(2, dim, seed=3) + 2 if with_norms else np.empty((0, 1), np.float32)
    angles = np.arange(50)[:, None] / 100 ** (np.arange(dim // 2) / (dim // 2))
    cos_sin = np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    positions = np.array([0, 7, 3, 49, 3])
    out = np.zeros((ROWS, width), np.uint16)
    heads = (query_heads, kv_heads)
    kernels.rotate(rows, factors, bias, norms, EPSILON, cos_sin, positions, out, heads, 0, ROWS)

    wide = rows.astype(np.float64) * factors[:, None] + (bias if with_bias else 0)
    each = wide.reshape(ROWS, -1, dim)
    if with_norms:
        weights = np.repeat(norms, [query_heads, kv_heads], axis=0)
        turned = each[:, : query_heads + kv_heads]
        turned /= np.sqrt((turned**2).mean(axis=2, keepdims=True) + EPSILON)
        turned *= weights
    for row, position in enumerate(positions):
        cos, sin = np.cos(angles[position]), np.sin(angles[position])
        for head in range(query_heads + kv_heads):
            left, right = np.split(each[row, head].copy(), 2)
            each[row, head] = np.concatenate([left * cos - right * sin, right * cos + left * sin])
    np.testing.assert_allclose(of_bits(out), each.reshape(ROWS, width), rtol=2**-7, atol=2**-7)


@settings(max_examples=200, deadline=None)
@given(st.floats(-(2.0**100), 2.0**100, width=32))
def test_bfloat16_rounds_as_torch_does(value):
    expected = torch.tensor([value]).bfloat16().view(torch.uint16).item()
    assert kernels.to_bfloat16(np.float32(value)) == expected


def test_exponential():
    x = np.linspace(-87, 88, 20_001, dtype=np.float32)
    found = np.array([kernels.exp(each) for each in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=2e-6)
    assert kernels.exp(np.float32(-1e9)) < 1e-37


@pytest.mark.skipif(not is_exact(Int8Linear), reason="oneDNN's sums saturate on this processor")
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.sampled_from([32, 96, 897]), st.integers(1, 200), st.integers(0, 9))
def test_integer_products_are_exact(rows, inputs, outputs, seed):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator).bfloat16()
    activations = torch.randint(0, 256, (rows, inputs), dtype=torch.uint8, generator=generator)
    whole, scales = round_rows(weight)
    expected = (activations.double() - kernels.ZERO_POINT) @ (whole.double() * scales.double().unsqueeze(1)).T
    found = Int8Linear(weight)(activations).double()
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_weights_are_rounded_to_the_nearest_step():
    weight = torch.randn(20, 50)
    weight[3] = 0
    whole, scales = round_rows(weight)
    assert (whole.float() * scales.unsqueeze(1) - weight).abs().le(0.5001 * scales.unsqueeze(1)).all()


class Plain:
    """Exact products in float64, in place of a processor's."""

    def __init__(self, weight, _team):
        self.whole, self.scales = round_rows(weight)

    def __call__(self, activations):
        wide = activations.double() - kernels.ZERO_POINT
        return (wide @ (self.whole.double() * self.scales.double().unsqueeze(1)).T).float()


class Saturating(Plain):
    """Sums of two products that end at 16 bits, as those of processors of 2013."""

    def __call__(self, activations):
        rows, inputs = activations.shape
        whole = self.whole.double()
        pairs = activations.double().view(rows, 1, -1, 2) * whole.view(1, -1, inputs // 2, 2)
        sums = pairs.sum(3).clamp(-(2**15), 2**15 - 1).sum(2)
        return ((sums - kernels.ZERO_POINT * whole.sum(1)) * self.scales.double()).float()


class SlowWith(Plain):
    """As oneDNN's reference code: right, and no good."""

    rows = 1

    def __call__(self, activations):
        if len(activations) == self.rows:
            time.sleep(0.3)
        if activations.shape[1] == linears.TRIAL_WIDTH:
            return torch.empty(0)
        return super().__call__(activations)


class SlowWithMany(SlowWith):
    rows = 64


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (Saturating, "this processor has no exact 8-bit dot products"),
        (SlowWith, "8-bit integers are slower than bfloat16 here: 3.* for 1 rows"),
        (SlowWithMany, "8-bit integers are slower than bfloat16 here: 3.* for 64 rows"),
    ],
)
def test_a_processor_without_quick_exact_products_is_refused(form, said, monkeypatch):
    monkeypatch.setattr(linears, "linear_of", form)
    assert re.match(said, works_here())


def test_a_pytorch_without_onednn_is_reported(monkeypatch):
    """Where it is asked for, in words; our own products need none of it."""
    monkeypatch.setattr(torch.ops, "onednn", SimpleNamespace())
    linears._operator.cache_clear()
    monkeypatch.setattr(linears, "prefers_onednn", lambda: True)
    said = works_here()
    assert re.match(
        r"PyTorch cannot multiply 8-bit integers here: PyTorch \S+ was built without onednn::qlinear", said
    )
    linears._operator.cache_clear()
