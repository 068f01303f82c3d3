"""The forward pass in one call against the same kernels called one by one, for every form of layer that it knows."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the CPU plug-in needs the extra foreword[engine]")
pytest.importorskip("sglang", reason="the CPU plug-in needs the extra foreword[engine]")

from sglang.srt.layers.radix_attention import AttentionType  # noqa: E402 - after it is known to be there
from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool  # noqa: E402
from sglang.srt.model_executor.forward_batch_info import ForwardMode  # noqa: E402

from engine.cpu import forward, products  # noqa: E402
from engine.cpu.attention_way import Way  # noqa: E402
from engine.cpu.backend import ForewordAttentionBackend  # noqa: E402
from engine.cpu.threads import Governor  # noqa: E402

pytestmark = pytest.mark.skipif(not products.HAS_PRODUCTS, reason="this processor has no AVX-512 VNNI")

LAYERS, WIDTH, INNER, VOCABULARY = 3, 96, 208, 500
QUERY_HEADS, KV_HEADS, DIM = 4, 2, 32
POOL, CONTEXT = 700, 512
NEAR = 0.02
"""Of the largest value: loops may be compiled to add in another order in each of the two, which may round a quantized
value to the next step."""


def linear(outputs, inputs, bias=False):
    weight = torch.nn.Parameter((torch.randn(outputs, inputs) * 0.1).bfloat16(), requires_grad=False)
    return SimpleNamespace(weight=weight, bias=torch.randn(outputs).bfloat16() if bias else None)


def norm(width=WIDTH):
    return SimpleNamespace(weight=(1 + torch.randn(width) / 4).bfloat16(), variance_epsilon=1e-6)


def decoder_layer(number, rotary, *, biases, head_norms):
    kv_width = KV_HEADS * DIM
    attention = SimpleNamespace(
        layer_id=number,
        scaling=DIM**-0.5,
        sliding_window_size=-1,
        logit_cap=0,
        is_cross_attention=False,
        qk_head_dim=DIM,
        v_head_dim=DIM,
        attn_type=AttentionType.DECODER,
    )
    return SimpleNamespace(
        self_attn=SimpleNamespace(
            num_heads=QUERY_HEADS,
            num_kv_heads=KV_HEADS,
            head_dim=DIM,
            q_size=QUERY_HEADS * DIM,
            kv_size=kv_width,
            qkv_proj=linear(QUERY_HEADS * DIM + 2 * kv_width, WIDTH, biases),
            o_proj=linear(WIDTH, QUERY_HEADS * DIM),
            attn=attention,
            rotary_emb=rotary,
            **({"q_norm": norm(DIM), "k_norm": norm(DIM)} if head_norms else {}),
        ),
        mlp=SimpleNamespace(gate_up_proj=linear(2 * INNER, WIDTH), down_proj=linear(WIDTH, INNER)),
        input_layernorm=norm(),
        post_attention_layernorm=norm(),
    )


class Model:
    """One request in a pool whose other slots are poisoned, and a model as SGLang has it after loading."""

    def __init__(self, *, biases=False, head_norms=False):
        torch.manual_seed(7)
        angles = torch.arange(CONTEXT)[:, None] / 100 ** (torch.arange(DIM // 2) / (DIM // 2))
        rotary = SimpleNamespace(cos_sin_cache=torch.cat([angles.cos(), angles.sin()], dim=1))
        layers = [
            decoder_layer(number, rotary, biases=biases, head_norms=head_norms) for number in range(LAYERS)
        ]
        embeddings = SimpleNamespace(weight=torch.randn(VOCABULARY, WIDTH).bfloat16(), quant_method=None)
        self.model = SimpleNamespace(
            model=SimpleNamespace(embed_tokens=embeddings, norm=norm(), layers=layers),
            lm_head=embeddings,
            config=SimpleNamespace(vocab_size=VOCABULARY),
        )
        self.lean = forward.make_lean(self.model)
        self.lean.governor = Governor(1)
        self.pool = MHATokenToKVPool(
            POOL, 1, torch.bfloat16, KV_HEADS, DIM, LAYERS, "cpu", enable_memory_saver=False
        )
        self.slots = torch.randperm(POOL - 1)[:CONTEXT].int()[None] + 1
        runner = SimpleNamespace(
            req_to_token_pool=SimpleNamespace(req_to_token=self.slots), token_to_kv_pool=self.pool
        )
        self.backend = ForewordAttentionBackend(runner, Way.KERNELS)
        self.empty_pool()

    def empty_pool(self):
        for buffer in (*self.pool.k_buffer, *self.pool.v_buffer):
            buffer.fill_(float("nan"))

    def read(self, tokens, cached=0):
        """Hidden states of these tokens after so many that were read before."""
        length = cached + len(tokens)
        batch = SimpleNamespace(
            forward_mode=ForwardMode.EXTEND,
            req_pool_indices=torch.zeros(1, dtype=torch.int64),
            seq_lens=torch.tensor([length]),
            extend_seq_lens=torch.tensor([len(tokens)]),
            out_cache_loc=self.slots[0, cached:length].long(),
        )
        self.backend.init_forward_metadata(batch)
        return self.lean.forward(torch.tensor(tokens), torch.arange(cached, length), batch)

    def choose(self, tokens, cached):
        end = cached + len(tokens)
        slots, requests = self.slots[0, cached:end].long(), [self.backend.request(0, len(tokens), end)]
        return self.lean.choose(tokens, torch.arange(cached, end), slots, requests, self.backend)


FORMS = {"llama": {}, "qwen2": {"biases": True}, "qwen3": {"head_norms": True}}


@pytest.fixture(params=FORMS)
def model(request, monkeypatch):
    made = Model(**FORMS[request.param])
    monkeypatch.setattr(forward, "get_attn_backend", lambda: made.backend)
    return made


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def some_tokens(count, seed=1):
    return np.random.default_rng(seed).integers(0, VOCABULARY, count).tolist()


@pytest.mark.parametrize(("cached", "rows"), [(0, 1), (0, 70), (70, 1), (70, 5), (64, 8), (100, 200)])
def test_it_says_what_the_layers_say_one_by_one(model, threads, cached, rows, monkeypatch):
    tokens = some_tokens(cached + rows)
    if cached:
        model.read(tokens[:cached])
    found = model.read(tokens[cached:], cached)
    keys = [buffer.clone() for buffer in model.pool.k_buffer]
    monkeypatch.setattr(model.lean, "_step", None)
    expected = model.read(tokens[cached:], cached)
    assert torch.isfinite(expected).all()
    assert (found - expected).abs().max() < NEAR * expected.abs().max()
    slots = model.slots[0, : cached + rows].long()
    for stored, wanted in zip(keys, model.pool.k_buffer, strict=True):
        assert (stored[slots] - wanted[slots]).abs().max() < NEAR * wanted[slots].abs().max()
        stored[slots] = 0
        unused = torch.ones(len(stored), dtype=torch.bool)
        unused[slots] = False
        assert stored[unused][1:].isnan().all(), "no slot of anybody else was written"


def test_rows_say_the_same_alone_and_together(model, threads):
    """What is verified in one step was decoded one by one otherwise."""
    tokens = some_tokens(90)
    model.read(tokens[:82])
    together = model.read(tokens[82:], 82)
    for at in range(82, 90):
        assert torch.equal(model.read([tokens[at]], at)[0], together[at - 82])


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_the_choice_is_that_of_all_logits(model, threads, rows):
    tokens = some_tokens(60 + rows)
    model.read(tokens[:60])
    logits = model.model.lm_head.quant_method.apply(None, model.read(tokens[60:], 60))
    assert model.choose(tokens[60:], 60) == logits.argmax(dim=-1).tolist()


def test_a_larger_pool_is_noticed(model):
    """SGLang makes the pool after the model, and tests make several."""
    tokens = some_tokens(30)
    before = model.read(tokens)
    model.pool.k_buffer = [buffer.clone() for buffer in model.pool.k_buffer]
    model.pool.v_buffer = [buffer.clone() for buffer in model.pool.v_buffer]
    model.empty_pool()
    assert torch.equal(model.read(tokens), before)


def test_a_position_past_the_table_is_refused(model):
    with pytest.raises(
        forward.PositionError, match=f"reaches position {CONTEXT}, and this model knows {CONTEXT}"
    ):
        model.lean.forward(torch.tensor([1]), torch.tensor([CONTEXT]), None)


def test_a_model_whose_attention_is_not_ours_is_run_layer_by_layer(model, monkeypatch):
    """The backend that is asked may be another one, or keep K and V in another type."""
    assert model.lean.chooses(model.backend)
    monkeypatch.setattr(model.pool, "store_dtype", torch.float32)
    assert not model.lean.chooses(model.backend)
    assert not model.lean.chooses(object())
