"""Integer products by our own kernels, the choice of the largest among them, and who does the work: all exact."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the CPU plug-in needs the extra foreword[engine]")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402 - after torch is known to be there

from engine.cpu import linears, products  # noqa: E402
from engine.cpu.compiled.team import Team, team_of  # noqa: E402
from engine.cpu.head import ChoosingHead, Head, NoChoiceError  # noqa: E402
from engine.cpu.linears import Int8Linear, PackedLinear, is_exact, linear_of, round_rows  # noqa: E402

pytestmark = pytest.mark.skipif(
    not products.HAS_PRODUCTS, reason="this processor has neither AVX-512 VNNI nor AVX2"
)


@pytest.fixture
def threads():
    """Sets how many compute, and sets them back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def whole_weight(outputs, inputs, seed=0):
    """Weights that are rounded to themselves: whole numbers, in each row one that uses the whole range."""
    weight = torch.randint(
        -127, 128, (outputs, inputs), generator=torch.Generator().manual_seed(seed)
    ).float()
    weight[:, 0] = 127
    return weight


def exact(activations, weight):
    return (activations.long() - 128) @ weight.long().T


def multiplied(activations, weight, team=None, count=1):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return PackedLinear(weight, team or team_of(count))(activations)
    finally:
        torch.set_num_threads(before)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 50, 97]),
    inputs=st.sampled_from([4, 32, 132, 896]),
    outputs=st.sampled_from([1, 15, 16, 17, 64, 100, 130, 640]),
    count=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_products_are_exact(rows, inputs, outputs, count, seed):
    """Whatever the rows, the last block and the tasks are: float32 holds these sums exactly."""
    generator = torch.Generator().manual_seed(seed)
    activations = torch.randint(0, 256, (rows, inputs), dtype=torch.uint8, generator=generator)
    weight = whole_weight(outputs, inputs, seed)
    found = multiplied(activations, weight, count=count)
    assert found.shape == (rows, outputs)
    assert torch.equal(found, exact(activations, weight).float())


@pytest.mark.parametrize("value", [0, 127, 128, 255])
@pytest.mark.parametrize("weight_value", [-127.0, 127.0])
@pytest.mark.parametrize("rows", [1, 8, 20])
def test_extreme_values_do_not_overflow(rows, weight_value, value):
    """The widest layer of the models that run here, at sums far beyond 16 bits."""
    activations = torch.full((rows, 18_944), value, dtype=torch.uint8)
    weight = torch.full((48, 18_944), weight_value)
    found = multiplied(activations, weight)
    expected = exact(activations, weight).double()
    assert (found.double() - expected).abs().max() <= 2**-24 * expected.abs().max()


def test_a_row_does_not_depend_on_the_rows_beside_it():
    weight = torch.randn(200, 64)
    activations = torch.randint(0, 256, (70, 64), dtype=torch.uint8)
    together = multiplied(activations, weight, count=2)
    for start, end in ((0, 1), (3, 8), (10, 27)):
        assert torch.equal(multiplied(activations[start:end].contiguous(), weight), together[start:end])


def test_weights_of_any_size_are_near_to_what_they_were():
    weight = torch.randn(33, 96) * torch.logspace(-3, 2, 33)[:, None]
    whole, scales = round_rows(weight)
    activations = torch.randint(0, 256, (5, 96), dtype=torch.uint8)
    expected = exact(activations, whole).double() * scales.double()
    assert torch.allclose(multiplied(activations, weight).double(), expected, rtol=1e-6, atol=0)


class LargestFloats(TorchDispatchMode):
    """Notes the bytes of the largest float32 tensor that anything gives."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype is torch.float32:
            self.bytes = max(self.bytes, made.nbytes)
        return made


@pytest.mark.parametrize("rows_at_once", [1, 7, 100])
def test_a_weight_is_rounded_a_few_rows_at_a_time(rows_at_once, monkeypatch):
    """In float32 an output layer takes four times what it takes for good."""
    weight = torch.randn(101, 96).bfloat16()
    whole, scales = round_rows(weight)
    monkeypatch.setattr(linears, "ROUNDED_BYTES", rows_at_once * 96 * 4)
    with LargestFloats() as largest:
        found, found_scales = round_rows(weight)
    assert torch.equal(found, whole)
    assert torch.equal(found_scales, scales)
    assert largest.bytes <= max(linears.ROUNDED_BYTES, scales.nbytes)


@pytest.mark.skipif(not is_exact(Int8Linear), reason="oneDNN's sums saturate on this processor")
def test_both_forms_agree():
    weight = torch.randn(130, 64)
    activations = torch.randint(0, 256, (9, 64), dtype=torch.uint8)
    assert torch.allclose(
        multiplied(activations, weight), Int8Linear(weight)(activations), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("inputs", "form"), [(64, PackedLinear), (62, Int8Linear)])
def test_a_width_that_the_kernels_do_not_know_goes_to_onednn(inputs, form, monkeypatch):
    monkeypatch.setattr("engine.cpu.linears.prefers_onednn", lambda: False)
    assert type(linear_of(torch.randn(16, inputs), team_of(1))) is form


def test_with_amx_layers_are_onednns(monkeypatch):
    monkeypatch.setattr("engine.cpu.linears.prefers_onednn", lambda: True)
    assert type(linear_of(torch.randn(16, 64), team_of(1))) is Int8Linear


class Exact:
    """Products in whole numbers by PyTorch, in place of a kernel's."""

    def __init__(self, weight):
        self.whole, self.scales = round_rows(weight)

    def __call__(self, activations):
        return (exact(activations, self.whole).double() * self.scales.double()).float()


def heads(vocabulary, width, count):
    weight = torch.randn(vocabulary, width, generator=torch.Generator().manual_seed(vocabulary))
    team = team_of(count)
    return ChoosingHead(PackedLinear(weight, team), team), Head(Exact(weight))


@pytest.mark.parametrize("rows", [1, 2, 8, 9, 70])
@pytest.mark.parametrize("vocabulary", [16, 999, 4096])
@pytest.mark.parametrize("count", [1, 2])
def test_the_choice_is_the_largest_logit(rows, vocabulary, count, threads):
    threads(count)
    head, other = heads(vocabulary, 64, count)
    hidden = torch.randn(rows, 64, generator=torch.Generator().manual_seed(rows)).bfloat16()
    logits = head.apply(None, hidden)
    assert logits.shape == (rows, vocabulary)
    assert torch.allclose(logits, other.apply(None, hidden), rtol=1e-5, atol=1e-5)
    with head.choosing() as chosen:
        head.apply(None, hidden)
    assert chosen == logits.argmax(dim=-1).tolist()
    assert torch.equal(head.apply(None, hidden), logits), "afterwards it computes logits again"


def test_of_equal_logits_the_first_is_chosen(threads):
    """As argmax does; the others lie in other tasks of other threads."""
    threads(2)
    weight = torch.randn(3000, 64).clamp(-2, 2)
    weight[[700, 701, 1500, 2999]] = 3.0
    team = team_of(2)
    head = ChoosingHead(PackedLinear(weight, team), team)
    for _ in range(20):
        with head.choosing() as chosen:
            head.apply(None, torch.ones(3, 64).bfloat16())
        assert chosen == [700, 700, 700]


def test_logits_that_all_are_negative_do_not_lose_to_lanes_without_an_output():
    weight = -torch.rand(17, 64) - 0.1
    team = team_of(1)
    head = ChoosingHead(PackedLinear(weight, team), team)
    hidden = torch.ones(2, 64).bfloat16()
    with head.choosing() as chosen:
        head.apply(None, hidden)
    assert chosen == head.apply(None, hidden).argmax(dim=-1).tolist()


def test_products_that_are_no_numbers_choose_nothing():
    """Least of all what was chosen before."""
    team = team_of(1)
    linear = PackedLinear(torch.randn(32, 64), team)
    head = ChoosingHead(linear, team)
    hidden = torch.randn(3, 64).bfloat16()
    with head.choosing():
        head.apply(None, hidden)
    linear.scales.fill(np.nan)
    with head.choosing(), pytest.raises(NoChoiceError, match="no logit that is a number for row 0 of 3"):
        head.apply(None, hidden)


def test_a_bias_is_added_and_never_chosen_without():
    team = team_of(1)
    head = ChoosingHead(PackedLinear(torch.randn(32, 64), team), team)
    hidden, bias = torch.randn(2, 64).bfloat16(), torch.randn(32)
    expected = head.apply(None, hidden) + bias
    with head.choosing() as chosen:
        assert torch.equal(head.apply(None, hidden, bias), expected)
    assert chosen == []


def test_helpers_that_slept_come_again():
    """Between the rounds they have gone to sleep; within a round operations follow one another."""
    team = Team(3)
    weight = whole_weight(640, 512)
    linear = PackedLinear(weight, team)
    activations = torch.randint(0, 256, (8, 512), dtype=torch.uint8)
    expected = exact(activations, weight).float()
    out = torch.empty(8, 640)
    context = linear.context(activations.data_ptr(), out.data_ptr())
    operations = np.array([products.product(products.MULTIPLY, context)] * 50, np.int64)
    for _ in range(10):
        out.fill_(float("nan"))
        team.run(operations, 8, 3)
        assert torch.equal(out, expected)
        time.sleep(0.002)
    shared, helped = team.tasks()
    assert shared >= 10 * 50 * 2
    assert 0 <= helped < shared


def test_one_thread_shares_nothing():
    team = Team(2)
    linear = PackedLinear(whole_weight(640, 512), team)
    activations = torch.randint(0, 256, (8, 512), dtype=torch.uint8)
    out = torch.empty(8, 640)
    context = linear.context(activations.data_ptr(), out.data_ptr())
    team.run(np.array([products.product(products.MULTIPLY, context)], np.int64), 8, 1)
    assert team.tasks() == (0, 0)
    assert team.ran_s() > 0
