"""The benchmark of the base, over the real service."""

from __future__ import annotations

from test_base import module
from test_tokens import small_tokenizer

from benchmarks.context import base


async def test_both_figures_are_measured_with_what_they_were_measured_on(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "FIRST_RUNS", 1)
    monkeypatch.setattr(base, "SAVES", 2)
    repository = tmp_path / "small"
    repository.mkdir()
    for number in range(12):
        (repository / f"m{number}.py").write_text(module(f"m{number}"))
    tokenizer = small_tokenizer(tmp_path / "tokenizer.json", special=True)
    said: list[str] = []
    found = await base.figures([repository], tokenizer, tmp_path / "scratch", said.append)
    assert [(one.name, one.n, one.unit) for one in found] == [
        ("pack256k_first_s", 1, "s"),
        ("pack256k_again_s", 2, "s"),
    ]
    assert all(one.value > 0 and one.against.endswith("tokens of small") for one in found) and said
