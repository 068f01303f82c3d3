"""The forward pass in one call against the same kernels called one by one, for every form of layer that it knows, and
both against plain arithmetic."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the CPU plug-in needs the extra foreword[engine]")
pytest.importorskip("sglang", reason="the CPU plug-in needs the extra foreword[engine]")

from sglang.srt.layers.radix_attention import AttentionType  # noqa: E402 - after it is known to be there
from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool  # noqa: E402
from sglang.srt.model_executor.forward_batch_info import ForwardMode  # noqa: E402

from engine.cpu import forward, products, step  # noqa: E402
from engine.cpu.attention import Heads  # noqa: E402
from engine.cpu.attention_way import Way  # noqa: E402
from engine.cpu.backend import ForewordAttentionBackend  # noqa: E402
from engine.cpu.facts import Facts  # noqa: E402
from engine.cpu.loading import lean  # noqa: E402
from engine.cpu.threads import WINDOW_S, Governor  # noqa: E402

LAYERS, WIDTH, INNER, VOCABULARY = 3, 96, 208, 500
QUERY_HEADS, KV_HEADS, DIM = 4, 2, 32
REQUESTS, CONTEXT = 3, 512
POOL = REQUESTS * CONTEXT + 100
EIGHT_BITS = 0.02
"""Of a row's norm: what 8 bits in twelve products may change."""
WEIGHT = 0.05
"""Deviation of the linear layers' weights. With larger ones the error of 8 bits in one layer grows in the next."""


def linear(outputs, inputs, bias=False):
    weight = torch.nn.Parameter((torch.randn(outputs, inputs) * WEIGHT).bfloat16(), requires_grad=False)
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


def loaded(*, biases=False, head_norms=False, tied=True):
    """A model as SGLang has it after loading."""
    torch.manual_seed(7)
    angles = torch.arange(CONTEXT)[:, None] / 100 ** (torch.arange(DIM // 2) / (DIM // 2))
    rotary = SimpleNamespace(cos_sin_cache=torch.cat([angles.cos(), angles.sin()], dim=1))
    layers = [decoder_layer(number, rotary, biases=biases, head_norms=head_norms) for number in range(LAYERS)]
    embeddings = SimpleNamespace(weight=torch.randn(VOCABULARY, WIDTH).bfloat16(), quant_method=None)
    output = SimpleNamespace(weight=embeddings.weight.clone(), quant_method=None)
    return SimpleNamespace(
        model=SimpleNamespace(embed_tokens=embeddings, norm=norm(), layers=layers),
        lm_head=embeddings if tied else output,
        config=SimpleNamespace(vocab_size=VOCABULARY),
    )


class Model:
    """Requests in a pool whose other slots are poisoned, and a model as SGLang has it after loading."""

    def __init__(self, **form):
        self.model = loaded(**form)
        self.true = Plain(self.model)
        self.lean = forward.make_lean(self.model)
        self.lean.governor = Governor(1)
        self.pool = MHATokenToKVPool(
            POOL, 1, torch.bfloat16, KV_HEADS, DIM, LAYERS, "cpu", enable_memory_saver=False
        )
        self.slots = torch.randperm(POOL - 1)[: REQUESTS * CONTEXT].int().view(REQUESTS, CONTEXT) + 1
        runner = SimpleNamespace(
            req_to_token_pool=SimpleNamespace(req_to_token=self.slots),
            token_to_kv_pool=self.pool,
            dtype=torch.bfloat16,
            model=torch.nn.Module(),
        )
        self.backend = ForewordAttentionBackend(runner, Way.KERNELS)
        self.empty_pool()

    def empty_pool(self):
        for buffer in (*self.pool.k_buffer, *self.pool.v_buffer):
            buffer.fill_(float("nan"))

    def read(self, tokens, cached=0):
        """Hidden states of these tokens after so many that were read before."""
        return self.read_all({0: (tokens, cached)})

    def read_all(self, requests):
        """The same of several requests in one step: by number their new tokens, and how many were read before."""
        tokens, positions, slots = self.described(requests)
        new = [len(some) for some, _ in requests.values()]
        batch = SimpleNamespace(
            forward_mode=ForwardMode.EXTEND,
            req_pool_indices=torch.tensor(list(requests)),
            seq_lens=torch.tensor([cached + len(some) for some, cached in requests.values()]),
            extend_seq_lens=torch.tensor(new),
            out_cache_loc=slots,
        )
        self.backend.init_forward_metadata(batch)
        return self.lean.forward(torch.tensor(tokens), positions, batch)

    def choose(self, tokens, cached):
        return self.choose_all({0: (tokens, cached)})

    def choose_all(self, requests):
        tokens, positions, slots = self.described(requests)
        rows = [
            self.backend.request(number, len(some), cached + len(some))
            for number, (some, cached) in requests.items()
        ]
        return self.lean.choose(tokens, positions, slots, rows, self.backend)

    def described(self, requests):
        tokens = [token for some, _ in requests.values() for token in some]
        places = {number: range(cached, cached + len(some)) for number, (some, cached) in requests.items()}
        positions = torch.tensor([place for each in places.values() for place in each])
        slots = torch.cat([self.slots[number, each.start : each.stop] for number, each in places.items()])
        return tokens, positions, slots.long()


class Plain:
    """The same model in float32, written out; made before its weights are let go."""

    def __init__(self, model):
        self.embeddings, self.norm = model.model.embed_tokens.weight.float(), model.model.norm.weight.float()
        self.turns = model.model.layers[0].self_attn.rotary_emb.cos_sin_cache
        self.layers = [self.copied(layer) for layer in model.model.layers]

    @staticmethod
    def copied(layer):
        attention, mlp = layer.self_attn, layer.mlp
        linears = attention.qkv_proj, attention.o_proj, mlp.gate_up_proj, mlp.down_proj
        norms = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
        bias = attention.qkv_proj.bias
        return (
            [each.weight.detach().float().clone() for each in linears],
            0 if bias is None else bias.float(),
            [layer.input_layernorm.weight.float(), layer.post_attention_layernorm.weight.float()],
            [None if each is None else each.weight.float() for each in norms],
        )

    def read(self, tokens):
        rows = len(tokens)
        hidden = self.embeddings[tokens]
        mask = torch.full((rows, rows), float("-inf")).triu(1)
        for (qkv, output, gate_up, down), bias, norms, head_norms in self.layers:
            each = (normed(hidden, norms[0]) @ qkv.T + bias).view(rows, -1, DIM)
            query, key, value = each.split([QUERY_HEADS, KV_HEADS, KV_HEADS], dim=1)
            query, key = (
                self.turned(one if weight is None else normed(one, weight))
                for one, weight in zip((query, key), head_norms, strict=True)
            )
            key, value = (one.repeat_interleave(QUERY_HEADS // KV_HEADS, dim=1) for one in (key, value))
            scores = torch.einsum("qhd,khd->hqk", query, key) * DIM**-0.5 + mask
            attended = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value).flatten(1)
            hidden = hidden + attended @ output.T
            gate, up = (normed(hidden, norms[1]) @ gate_up.T).chunk(2, dim=1)
            hidden = hidden + (torch.nn.functional.silu(gate) * up) @ down.T
        return normed(hidden, self.norm)

    def turned(self, heads):
        cos, sin = self.turns[: len(heads), None].chunk(2, dim=2)
        left, right = heads.chunk(2, dim=2)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=2)


def normed(rows, weight):
    return rows / (rows.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt() * weight


FORMS = {"llama": {}, "qwen2": {"biases": True}, "qwen3": {"head_norms": True}}


@pytest.fixture(params=FORMS)
def any_model(request, monkeypatch):
    made = Model(**FORMS[request.param])
    monkeypatch.setattr(forward, "get_attn_backend", lambda: made.backend)
    return made


@pytest.fixture
def model(any_model):
    """One that goes in one call."""
    if not products.HAS_PRODUCTS:
        pytest.skip("this processor has neither AVX-512 VNNI nor AVX2")
    return any_model


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
    assert torch.equal(found, expected)
    slots = model.slots[0, : cached + rows].long()
    for stored, wanted in zip(keys, model.pool.k_buffer, strict=True):
        assert torch.equal(stored[slots], wanted[slots])
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


@pytest.mark.parametrize(("cached", "rows"), [(0, 70), (70, 1), (64, 8)])
def test_it_is_near_to_float32(any_model, threads, cached, rows):
    """With our products and in one call, or with oneDNN's and layer by layer."""
    tokens = some_tokens(cached + rows)
    if cached:
        any_model.read(tokens[:cached])
    found = any_model.read(tokens[cached:], cached).float()
    true = any_model.true.read(tokens)[cached:]
    assert ((found - true).norm(dim=1) / true.norm(dim=1)).max() < EIGHT_BITS
    other = any_model.true.read(some_tokens(cached + rows, seed=2))[cached:]
    assert ((found - other).norm(dim=1) / other.norm(dim=1)).min() > 5 * EIGHT_BITS, "others would be noticed"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names an x86 processor")
def test_processors_without_integer_dot_products(tmp_path):
    """The same on code for a processor of 2013, whose products are oneDNN's, in a process of its own."""
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    chosen = ["-k", "near_to_float32 and llama"]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *chosen, __file__],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "6 passed" in ended.stdout


SAID = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import test_step
from engine.cpu import forward
for form in test_step.FORMS.values():
    model = test_step.Model(**form)
    forward.get_attn_backend = lambda: model.backend
    tokens = test_step.some_tokens(72)
    found = [model.read(tokens[:70]), model.read(tokens[70:71], 70), model.read(tokens[71:], 71)]
    print("said", *(hashlib.sha256(each.float().numpy().tobytes()).hexdigest() for each in found))
"""


@pytest.mark.slow
def test_code_out_of_the_cache_says_what_it_said_when_it_was_compiled(tmp_path):
    """Else a host that compiles, once, would write other texts than all later ones."""
    said = []
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", SAID, str(Path(__file__).parent)],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, ended.stderr
        said.append([line for line in ended.stdout.splitlines() if line.startswith("said")])
    assert len(said[0]) == len(FORMS) and said[0] == said[1]


SEVERAL = {2: (70, 5), 0: (0, 33), 1: (40, 1)}
"""By number how many tokens of a request were read before, and how many are read now."""


def test_several_requests_say_together_what_each_says_alone(model, threads):
    texts = {number: some_tokens(cached + new, seed=number) for number, (cached, new) in SEVERAL.items()}
    alone = {}
    for number, (cached, _) in SEVERAL.items():
        if cached:
            model.read_all({number: (texts[number][:cached], 0)})
        alone[number] = model.read_all({number: (texts[number][cached:], cached)})
    model.empty_pool()
    before = {number: (texts[number][:cached], 0) for number, (cached, _) in SEVERAL.items() if cached}
    model.read_all(before)
    now = {number: (texts[number][cached:], cached) for number, (cached, _) in SEVERAL.items()}
    together = model.read_all(now)
    assert torch.equal(together, torch.cat([alone[number] for number in SEVERAL]))
    logits = model.model.lm_head.quant_method.apply(None, together)
    assert model.choose_all(now) == logits.argmax(dim=-1).tolist()


def test_tokens_are_chosen_for_so_many_rows_and_no_more(model):
    """The memory for what is chosen ends there."""
    most = products.MOST_CHOICES
    tokens = some_tokens(most + 1)
    logits = model.model.lm_head.quant_method.apply(None, model.read(tokens))
    assert model.lean.chooses(model.backend, most)
    assert model.choose(tokens[:most], 0) == logits[:most].argmax(dim=-1).tolist()
    assert not model.lean.chooses(model.backend, most + 1)
    with pytest.raises(ValueError, match="cannot be chosen for 65 rows at once: there is room for 64"):
        model.choose(tokens, 0)


@pytest.mark.parametrize("of_values", [False, True])
def test_a_pool_whose_heads_lie_apart_is_refused(model, of_values):
    """Its values' strides are asked for too, though only the keys' are used."""
    apart = [torch.zeros(POOL + 1, KV_HEADS, 2 * DIM).bfloat16()[:, :, :DIM] for _ in range(LAYERS)]
    model.pool.v_buffer = apart
    if not of_values:
        model.pool.k_buffer = apart
    with pytest.raises(ValueError, match="do not lie densely"):
        model.read(some_tokens(3))


def test_the_table_is_made_again_only_a_few_times(model, monkeypatch):
    made, lay_out = [], step.Step._lay_out
    monkeypatch.setattr(step.Step, "_lay_out", lambda self, rows: (made.append(rows), lay_out(self, rows)))
    for rows in (1, 3, 5, 6, 7, 8, 9, 100, 101, 128):
        model.read(some_tokens(rows))
    assert made == [4, 8, 16, 128]


def test_a_chunk_that_is_too_large_goes_layer_by_layer(model, monkeypatch):
    """Its buffers are not kept."""
    tokens = some_tokens(90)
    expected = model.read(tokens)
    for module in (forward, step):
        monkeypatch.setattr(module, "MOST_ROWS", 64)
    model.empty_pool()
    assert torch.equal(model.read(tokens), expected)
    with pytest.raises(ValueError, match=r"64 rows at most, not 90\. Go layer by layer"):
        model.lean.trial(90)


def test_threads_that_are_asked_for_are_not_taken_away(threads, monkeypatch):
    """Not even where they only wait: whoever asked knows the machine."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))  # as the host does
    made = loaded()
    facts = lean(made, str(threads))
    governor = forward.lean_of(made).governor
    assert facts == Facts("int8", threads, f"FOREWORD_THREADS asks for {threads} threads")
    with governor.step():
        time.sleep(1.1 * WINDOW_S)
    with governor.step() as given:
        assert given == threads == torch.get_num_threads()


@pytest.mark.parametrize("tied", [True, False])
def test_the_output_layer_lets_its_weight_go_unless_it_is_the_embeddings(tied):
    made = Model(tied=tied)
    assert made.model.model.embed_tokens.weight.shape == (VOCABULARY, WIDTH)
    assert made.model.lm_head.weight.numel() == (VOCABULARY * WIDTH if tied else 0)


def test_the_way_is_measured_at_start_for_the_models_own_layers(monkeypatch):
    """Not within the first prompt."""
    from sglang.srt.layers.radix_attention import RadixAttention

    model = torch.nn.Sequential(
        *(RadixAttention(QUERY_HEADS, DIM, 1.0, KV_HEADS, layer) for layer in range(2))
    )
    pool = MHATokenToKVPool(8, 1, torch.bfloat16, KV_HEADS, DIM, 1, "cpu", enable_memory_saver=False)
    runner = SimpleNamespace(
        req_to_token_pool=SimpleNamespace(req_to_token=torch.zeros(1, 8, dtype=torch.int32)),
        token_to_kv_pool=pool,
        dtype=torch.bfloat16,
        model=model,
    )
    measured = []
    monkeypatch.setattr(
        "engine.cpu.backend.quickest_way", lambda heads, _: measured.append(heads) or Way.KERNELS
    )
    backend = ForewordAttentionBackend(runner)
    assert measured == [Heads(QUERY_HEADS, KV_HEADS, DIM)]
    assert backend.way(measured[0]) is Way.KERNELS
    assert len(measured) == 1
