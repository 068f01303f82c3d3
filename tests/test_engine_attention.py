"""The CPU attention against plain float32 attention, over random shapes, slots and splits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the CPU attention needs the extra foreword[engine]")

from engine.cpu import attention, attention_way  # noqa: E402 - after torch is known to be there
from engine.cpu.attention import Heads, decode_attention, extend_attention, fits  # noqa: E402
from engine.cpu.attention_flash import attend  # noqa: E402
from engine.cpu.attention_way import Way, better, quickest_way  # noqa: E402
from engine.cpu.spans import MIN_SLICE_TOKENS, spans_of  # noqa: E402

# bf16 keeps 8 bits: values near 1 are off by up to 1/256, and two parts are rounded apart
BF16_TOLERANCE = 0.03
FP32_TOLERANCE = 1e-4
# of a row's output against float32 attention over the same inputs, as norms
BF16_RELATIVE = 1e-2
FP32_RELATIVE = 1e-5


def reference(query, keys, values, scale, first_position, window=0):
    """Causal attention in float32, written out: query i stands at position `first_position + i`."""
    tokens, heads, _ = query.shape
    group = heads // keys.shape[1]
    keys = keys.float().repeat_interleave(group, dim=1)
    values = values.float().repeat_interleave(group, dim=1)
    scores = torch.einsum("qhd,khd->hqk", query.float(), keys) * scale
    positions = (first_position + torch.arange(tokens))[:, None]
    visible = torch.arange(keys.shape[0])[None, :] <= positions
    if window:
        visible &= torch.arange(keys.shape[0])[None, :] > positions - window
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


def relative_error(got, wanted) -> float:
    """Of the worst row."""
    return float(((got.float() - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max())


@st.composite
def batches(draw):
    requests = st.tuples(st.sampled_from([0, 1, 63, 64, 65, 300]), st.integers(0, 130), st.integers(1, 70))
    return {
        "kv_heads": draw(st.integers(1, 3)),
        "group": draw(st.integers(1, 7)),
        "dim": draw(st.sampled_from([16, 48, 64, 80, 128])),
        "requests": [
            (cached + more, new) for cached, more, new in draw(st.lists(requests, min_size=1, max_size=4))
        ],
        "decode": draw(st.booleans()),
        "layout": draw(st.sampled_from(["consecutive", "shuffled", "runs"])),
        "spread": draw(st.sampled_from([0.2, 1.0, 3.0])),
        "window": draw(st.sampled_from([0, 0, 1, 17, 64, 200])),
        "threads": draw(st.integers(1, 3)),
        "split": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
    }


class Batch:
    """Requests that share one pool, whose other slots are poisoned, as is the output."""

    def __init__(self, case, dtype=torch.bfloat16):
        torch.manual_seed(case["seed"])
        kv_heads, dim = case["kv_heads"], case["dim"]
        self.tokens = [1 if case["decode"] else new for _, new in case["requests"]]
        self.lengths = [cached + new for (cached, _), new in zip(case["requests"], self.tokens, strict=True)]
        pool = sum(self.lengths) + 600
        # deviations of 3 at head size 64 give scores of +-100 after scaling, as Qwen2.5's biases do
        self.keys, self.values = (torch.full((pool, kv_heads, dim), float("nan")).to(dtype) for _ in range(2))
        owned = laid_out(case["layout"], sum(self.lengths), pool)
        for buffer in (self.keys, self.values):
            buffer[owned] = (torch.randn(len(owned), kv_heads, dim) * case["spread"]).to(dtype)
        self.slots = torch.full((len(self.lengths), max(self.lengths) + 5), 2**30, dtype=torch.int32)
        for row, mine in zip(self.slots, owned.split(self.lengths), strict=True):
            row[: len(mine)] = mine
        self.query_heads = kv_heads * case["group"]
        # rows lie apart, as slices of fused projections do
        fused = torch.randn(sum(self.tokens), self.query_heads * dim + 32) * case["spread"]
        self.query = fused.to(dtype)[:, : self.query_heads * dim].view(-1, self.query_heads, dim)
        self.scale = dim**-0.5

    def wanted(self, window=0):
        parts = []
        for number, query in enumerate(self.query.split(self.tokens)):
            slots = self.slots[number, : self.lengths[number]].long()
            first = self.lengths[number] - len(query)
            parts.append(reference(query, self.keys[slots], self.values[slots], self.scale, first, window))
        return torch.cat(parts)


@settings(max_examples=150, deadline=None)
@given(case=batches())
def test_kernels_equal_float32_attention(case):
    """Any mixture of cached, new and decoded tokens of several requests, in one call."""
    batch = Batch(case)
    out = torch.full(batch.query.shape, float("nan"), dtype=torch.bfloat16)
    with pytest.MonkeyPatch.context() as patch:
        if case["split"]:  # as if all of it were long
            patch.setattr(attention, "PARALLEL_FROM", 0)
            patch.setattr(attention, "MIN_PART_KEYS", 32)
        extend_attention(
            batch.query,
            batch.keys,
            batch.values,
            batch.slots,
            batch.tokens,
            batch.lengths,
            batch.scale,
            out,
            window=case["window"],
            threads=case["threads"],
        )
    assert relative_error(out, batch.wanted(case["window"])) < BF16_RELATIVE


def test_decode_of_long_and_short_requests():
    case = {"kv_heads": 2, "group": 7, "dim": 64, "requests": [(6000, 1), (0, 1), (2500, 1)], "decode": True}
    batch = Batch({**case, "layout": "shuffled", "spread": 3.0, "seed": 5})
    for threads in (1, 2):
        out = torch.full(batch.query.shape, float("nan"), dtype=torch.bfloat16)
        decode_attention(
            batch.query,
            batch.keys,
            batch.values,
            batch.slots,
            batch.lengths,
            batch.scale,
            out,
            threads=threads,
        )
        assert relative_error(out, batch.wanted()) < BF16_RELATIVE


def test_scores_beyond_what_exp_can_hold():
    """Scores of thousands: exp of them overflows unless the maximum is taken off first."""
    case = {"kv_heads": 1, "group": 4, "dim": 64, "requests": [(200, 30)], "decode": False}
    batch = Batch({**case, "layout": "shuffled", "spread": 30.0, "seed": 2})
    out = torch.full(batch.query.shape, float("nan"), dtype=torch.bfloat16)
    extend_attention(
        batch.query, batch.keys, batch.values, batch.slots, batch.tokens, batch.lengths, batch.scale, out
    )
    assert relative_error(out, batch.wanted()) < BF16_RELATIVE


def test_rows_that_do_not_lie_densely_are_refused():
    keys = torch.zeros(10, 4, 64, dtype=torch.bfloat16)[:, ::2]
    query = torch.zeros(1, 2, 64, dtype=torch.bfloat16)
    slots = torch.arange(10, dtype=torch.int32)[None]
    with pytest.raises(ValueError, match="densely"):
        decode_attention(query, keys, keys, slots, [10], 1.0, torch.empty_like(query))


@pytest.mark.parametrize(
    ("dtype", "dim", "known"),
    [
        (torch.bfloat16, 64, True),
        (torch.bfloat16, 128, True),
        (torch.bfloat16, 256, False),
        (torch.bfloat16, 72, False),
        (torch.float32, 64, False),
    ],
)
def test_forms_that_the_kernels_know(dtype, dim, known):
    assert fits(dtype, dim) is known


class Step:
    """SGLang's backend over its own pools, and one step's batch as the scheduler describes it."""

    def __init__(self, case, dtype, way):
        from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool
        from sglang.srt.model_executor.forward_batch_info import ForwardMode

        from engine.cpu.backend import ForewordAttentionBackend

        batch = self.batch = Batch(case, dtype)
        pool = MHATokenToKVPool(
            len(batch.keys), 1, dtype, case["kv_heads"], case["dim"], 1, "cpu", enable_memory_saver=False
        )
        old = torch.cat(
            [
                row[: length - new]
                for row, length, new in zip(batch.slots, batch.lengths, batch.tokens, strict=True)
            ]
        ).long()
        self.new_slots = torch.cat(
            [
                row[length - new : length]
                for row, length, new in zip(batch.slots, batch.lengths, batch.tokens, strict=True)
            ]
        ).long()
        for buffer, source in ((pool.k_buffer[0], batch.keys), (pool.v_buffer[0], batch.values)):
            buffer.fill_(float("nan"))
            buffer[old] = source[old]
        runner = SimpleNamespace(
            req_to_token_pool=SimpleNamespace(req_to_token=batch.slots),
            token_to_kv_pool=pool,
            dtype=dtype,
            model=torch.nn.Module(),
        )
        self.backend = ForewordAttentionBackend(runner, way)
        self.forward_batch = SimpleNamespace(
            forward_mode=ForwardMode.DECODE if case["decode"] else ForwardMode.EXTEND,
            req_pool_indices=torch.arange(len(batch.lengths)),
            seq_lens=torch.tensor(batch.lengths),
            extend_seq_lens=torch.tensor(batch.tokens),
            out_cache_loc=self.new_slots,
        )
        self.backend.init_forward_metadata(self.forward_batch)

    def new(self, source):
        return source[self.new_slots].flatten(1)


@pytest.mark.parametrize("decode", [True, False], ids=["decode", "extend"])
@pytest.mark.parametrize("way", [Way.KERNELS, Way.FLASH, None])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_backend_stores_and_attends(dtype, way, decode):
    pytest.importorskip("sglang")
    case = {"kv_heads": 2, "group": 3, "dim": 64, "requests": [(300, 40), (0, 9), (77, 1)], "decode": decode}
    step = Step({**case, "layout": "runs", "spread": 1.0, "seed": 3}, dtype, way)
    batch = step.batch
    query, keys, values = batch.query.flatten(1), step.new(batch.keys), step.new(batch.values)
    got = step.backend.attend(0, query, keys, values, batch.scale, step.forward_batch)
    tolerance = BF16_RELATIVE if dtype is torch.bfloat16 else FP32_RELATIVE
    assert relative_error(got.view(batch.query.shape), batch.wanted()) < tolerance

    from sglang.srt.layers.radix_attention import RadixAttention

    layer = RadixAttention(batch.query_heads, 64, batch.scale, num_kv_heads=2, layer_id=0)
    forward = step.backend.forward_decode if decode else step.backend.forward_extend
    again = forward(query, keys.view(-1, 2, 64), values.view(-1, 2, 64), layer, step.forward_batch)
    assert torch.equal(got, again)


def test_the_way_is_measured():
    assert quickest_way(Heads(4, 2, 64), attention.Runner(1)) in Way


@pytest.mark.parametrize(
    ("ours_s", "flash_s", "way"),
    [
        (1.0, 0.3, Way.FLASH),
        (1.0, 0.95, Way.KERNELS),  # a disturbance
        (1.0, 1.0, Way.KERNELS),
        (1.0, 3.0, Way.KERNELS),
    ],
)
def test_flash_must_be_clearly_faster(ours_s, flash_s, way):
    assert better(ours_s, flash_s) is way


def test_both_ways_are_measured_with_the_threads_that_are_set(monkeypatch):
    before, planned, plan = torch.get_num_threads(), [], attention_way.plan
    monkeypatch.setattr(
        attention_way, "plan", lambda *arguments: planned.append(plan(*arguments)) or planned[-1]
    )
    try:
        torch.set_num_threads(1)
        quickest_way(Heads(14, 2, 64), attention.Runner(2))
    finally:
        torch.set_num_threads(before)
    assert [each.threads for each in planned] == [1]


CASE = {
    "kv_heads": 2,
    "group": 3,
    "dim": 64,
    "requests": [(20, 4)],
    "decode": False,
    "layout": "runs",
    "spread": 1.0,
}


@pytest.mark.parametrize(
    ("wishes", "refused"),
    [
        ({"sinks": torch.zeros(6)}, "attention with 'sinks'"),
        ({"k_rope": torch.zeros(1)}, "attention with 'k_rope'"),
        ({"return_lse": True}, "attention with 'return_lse'"),
        ({"sinks": None, "return_lse": False}, None),
    ],
)
@pytest.mark.parametrize("decode", [True, False], ids=["decode", "extend"])
def test_what_a_model_asks_beyond_plain_attention_is_refused(wishes, refused, decode):
    pytest.importorskip("sglang")
    from sglang.srt.layers.radix_attention import RadixAttention

    from engine.cpu.refusals import UnsupportedLayerError

    step = Step(CASE | {"seed": 3, "decode": decode}, torch.bfloat16, Way.KERNELS)
    batch = step.batch
    layer = RadixAttention(batch.query_heads, 64, batch.scale, num_kv_heads=2, layer_id=0)
    forward = step.backend.forward_decode if decode else step.backend.forward_extend
    keys, values = (step.new(source).view(-1, 2, 64) for source in (batch.keys, batch.values))
    arguments = batch.query.flatten(1), keys, values, layer, step.forward_batch
    if refused is None:
        assert torch.isfinite(forward(*arguments, **wishes)).all()
        return
    with pytest.raises(UnsupportedLayerError, match=refused):
        forward(*arguments, **wishes)


@pytest.mark.parametrize("kind", ["ENCODER_ONLY", "DECODER_BIDIRECTIONAL"])
def test_attention_that_is_not_causal_is_refused(kind):
    pytest.importorskip("sglang")
    from sglang.srt.layers.radix_attention import AttentionType, RadixAttention

    from engine.cpu.refusals import UnsupportedLayerError, refuse_unsupported

    layer = RadixAttention(6, 64, 1.0, num_kv_heads=2, layer_id=0, attn_type=AttentionType[kind])
    with pytest.raises(UnsupportedLayerError, match="attention that is not causal"):
        refuse_unsupported(layer)


@pytest.mark.parametrize(
    ("kept", "model"),
    [
        (torch.float8_e4m3fn, torch.bfloat16),
        (torch.float8_e5m2, torch.bfloat16),
        (torch.bfloat16, torch.float32),
        (torch.float8_e5m2, torch.float8_e5m2),
    ],
)
def test_a_cache_in_another_type_is_refused_at_start(kept, model):
    """With --kv-cache-dtype; it would end the scheduler in the middle of a request."""
    pytest.importorskip("sglang")
    from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool

    from engine.cpu.backend import ForewordAttentionBackend
    from engine.cpu.refusals import UnsupportedPoolError

    runner = SimpleNamespace(
        req_to_token_pool=SimpleNamespace(req_to_token=torch.zeros(1, 8, dtype=torch.int32)),
        token_to_kv_pool=MHATokenToKVPool(8, 1, kept, 2, 64, 1, "cpu", enable_memory_saver=False),
        dtype=model,
        model=torch.nn.Module(),
    )
    with pytest.raises(UnsupportedPoolError, match=rf"kept in {kept} .*Leave out --kv-cache-dtype"):
        ForewordAttentionBackend(runner)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names an x86 processor")
def test_processors_without_bf16_products(tmp_path):
    """The same test on code for a processor of 2013, in a process of its own."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
    }
    chosen = f"{__file__}::test_decode_of_long_and_short_requests"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", chosen, f"{__file__}::test_scores_beyond_what_exp_can_hold"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout
