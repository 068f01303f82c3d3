"""The CPU attention against plain float32 attention, over random shapes, slots and splits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the CPU attention needs the extra foreword[engine]")

from engine.cpu.attention import attend  # noqa: E402 - after torch is known to be there
from engine.cpu.spans import MIN_SLICE_TOKENS, spans_of  # noqa: E402

# bf16 keeps 8 bits: values near 1 are off by up to 1/256, and two parts are rounded apart
BF16_TOLERANCE = 0.03
FP32_TOLERANCE = 1e-4


def reference(query, keys, values, scale, first_position):
    """Causal attention in float32, written out: query i stands at position `first_position + i`."""
    tokens, heads, _ = query.shape
    group = heads // keys.shape[1]
    keys = keys.float().repeat_interleave(group, dim=1)
    values = values.float().repeat_interleave(group, dim=1)
    scores = torch.einsum("qhd,khd->hqk", query.float(), keys) * scale
    visible = torch.arange(keys.shape[0])[None, :] <= (first_position + torch.arange(tokens))[:, None]
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~visible, float("-inf")).softmax(-1), values)


@st.composite
def cases(draw):
    return {
        "kv_heads": draw(st.integers(1, 3)),
        "group": draw(st.integers(1, 7)),
        "dim": draw(st.sampled_from([16, 64, 128])),
        "cached": draw(st.integers(0, 400)),
        "new": draw(st.integers(1, 70)),
        "dtype": draw(st.sampled_from([torch.float32, torch.bfloat16])),
        "layout": draw(st.sampled_from(["consecutive", "shuffled", "runs"])),
        "seed": draw(st.integers(0, 2**16)),
    }


def laid_out(layout: str, tokens: int, pool: int):
    """Slots of a request: one run, no order at all, or the runs that a radix tree leaves."""
    if layout == "consecutive":
        return torch.arange(3, 3 + tokens)
    if layout == "shuffled":
        return torch.randperm(pool)[:tokens]
    blocks = torch.arange(pool).split(MIN_SLICE_TOKENS * 2 - 5)
    order = torch.randperm(len(blocks)).tolist()
    return torch.cat([blocks[at] for at in order])[:tokens]


@settings(max_examples=60, deadline=None)
@given(case=cases(), decode=st.booleans())
def test_equals_float32_attention(case, decode):
    torch.manual_seed(case["seed"])
    if decode:
        case["new"] = 1
    tokens = case["cached"] + case["new"]
    pool_tokens = tokens + 600
    dtype, dim, kv_heads = case["dtype"], case["dim"], case["kv_heads"]
    # unowned slots must not be read
    pool_keys = torch.full((pool_tokens, kv_heads, dim), float("nan"), dtype=dtype)
    pool_values = pool_keys.clone()
    slots = laid_out(case["layout"], tokens, pool_tokens)
    keys = torch.randn(tokens, kv_heads, dim).to(dtype)
    values = torch.randn(tokens, kv_heads, dim).to(dtype)
    pool_keys[slots], pool_values[slots] = keys, values
    query = torch.randn(case["new"], kv_heads * case["group"], dim).to(dtype)
    scale = dim**-0.5

    if decode:
        got = attend(query, pool_keys, pool_values, spans_of(slots.int()), None, scale)
    else:
        cached = spans_of(slots[: case["cached"]].int())
        new = (keys[case["cached"] :], values[case["cached"] :])
        got = attend(query, pool_keys, pool_values, cached, new, scale)

    wanted = reference(query, keys, values, scale, case["cached"])
    tolerance = FP32_TOLERANCE if dtype is torch.float32 else BF16_TOLERANCE
    torch.testing.assert_close(got.float(), wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("slots", "slices", "gathered"),
    [
        ([], [], 0),
        ([7], [(7, 8)], 0),
        (range(5, 25), [(5, 25)], 0),  # short, but the only run
        ([*range(100, 200), *range(300, 420)], [(100, 200), (300, 420)], 0),
        ([*range(100, 200), 9, 8, 7], [(100, 200)], 3),
        ([3, 1, 2], [], 3),
    ],
)
def test_spans(slots, slices, gathered):
    spans = spans_of(torch.tensor(list(slots), dtype=torch.int32))
    assert [(span.start, span.stop) for span in spans if isinstance(span, slice)] == slices
    assert sum(span.numel() for span in spans if not isinstance(span, slice)) == gathered


def test_long_merged_chunks_equal_one_pass():
    """Chunked prefill: the last chunk of a prompt gives what the whole prompt gives at its end."""
    torch.manual_seed(1)
    keys, values, query = torch.randn(1500, 2, 64), torch.randn(1500, 2, 64), torch.randn(300, 14, 64)
    got = attend(query, keys, values, [slice(0, 1200)], (keys[1200:], values[1200:]), 64**-0.5)
    torch.testing.assert_close(
        got, reference(query, keys, values, 64**-0.5, 1200), atol=FP32_TOLERANCE, rtol=FP32_TOLERANCE
    )
