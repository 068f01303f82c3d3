"""Layers in bfloat16 that are multiplied in float32: the same products, rounded once."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the CPU plug-in needs the extra foreword[engine]")

from engine.cpu import widened  # noqa: E402 - after torch is known to be there
from engine.cpu.widened import LEAST_ROWS, multiply_widened, widen  # noqa: E402


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).bfloat16()


def exact(x, weight, bias):
    """In float64, rounded once."""
    return (x.double() @ weight.double().T + (0 if bias is None else bias.double())).bfloat16()


@pytest.mark.parametrize("outputs", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rows", [LEAST_ROWS, LEAST_ROWS + 1, 70])
def test_every_piece_of_the_weight_is_multiplied(rows, biased, outputs, monkeypatch):
    monkeypatch.setattr(widened, "PIECE_BYTES", 64 * 96 * 4)  # 64 outputs at a time
    x, weight = some(rows, 96), some(outputs, 96, seed=1)
    bias = some(outputs, seed=2) if biased else None
    found = multiply_widened(x, weight, bias)
    assert found.dtype == torch.bfloat16
    assert found.shape == (rows, outputs)
    torch.testing.assert_close(found, exact(x, weight, bias), rtol=2**-7, atol=2**-13)


def test_rows_of_several_dimensions_keep_them():
    x, weight = some(2, LEAST_ROWS, 96), some(32, 96, seed=1)
    found = multiply_widened(x, weight)
    assert found.shape == (2, LEAST_ROWS, 32)
    assert torch.equal(found[1], multiply_widened(x[1], weight))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_numbers_are_left_to_pytorch(dtype):
    x, weight = some(LEAST_ROWS, 96).to(dtype), some(32, 96, seed=1).to(dtype)
    assert torch.equal(multiply_widened(x, weight), torch.nn.functional.linear(x, weight))


def test_few_rows_are_left_to_pytorch(monkeypatch):
    x, weight = some(LEAST_ROWS - 1, 96), some(32, 96, seed=1)
    monkeypatch.setattr(widened, "PIECE_BYTES", 0)
    assert torch.equal(multiply_widened(x, weight), torch.nn.functional.linear(x, weight))


def test_only_layers_in_bfloat16_without_quantization_are_changed():
    unquant = pytest.importorskip("sglang.srt.layers.quantization.unquant")
    plain, head, other, half = (torch.nn.Linear(96, 32, bias=False).bfloat16() for _ in range(4))
    plain.quant_method = unquant.UnquantizedLinearMethod()
    half.half().quant_method = halves = unquant.UnquantizedLinearMethod()
    head.quant_method = unquant.UnquantizedEmbeddingMethod()
    assert widen(torch.nn.Sequential(plain, head, other, half)) == 2
    x = some(LEAST_ROWS, 96)
    for layer in (plain, head):
        assert torch.equal(layer.quant_method.apply(layer, x), multiply_widened(x, layer.weight))
    assert isinstance(plain.quant_method, unquant.UnquantizedLinearMethod)
    assert isinstance(head.quant_method, unquant.UnquantizedEmbeddingMethod)
    assert torch.equal(head.quant_method.embedding(head, torch.tensor([3])), head.weight[3:4])
    assert half.quant_method is halves, "its numbers are no bfloat16"


def test_sglang_asks_a_widened_output_layer_for_its_logits():
    logits = pytest.importorskip("sglang.srt.layers.logits_processor")
    unquant = pytest.importorskip("sglang.srt.layers.quantization.unquant")
    head = torch.nn.Linear(96, 32, bias=False).bfloat16()
    head.quant_method = unquant.UnquantizedEmbeddingMethod()
    assert not logits.should_apply_lm_head_quant_method(head, head.quant_method)
    widen(torch.nn.Sequential(head))
    assert logits.should_apply_lm_head_quant_method(head, head.quant_method)


def test_a_model_of_another_form_is_left_as_it_is():
    assert widen(torch.nn.Sequential(torch.nn.Linear(96, 32))) == 0
