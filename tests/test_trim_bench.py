"""The figures about trimming."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.lsp.trimmed import figures, scored, trimmed


class Cut(msgspec.Struct, frozen=True):
    before: str
    after: str
    truth: str
    language: str = "python"


CALL = Cut("print(", ")\n", "value")
ASSIGNED = Cut("x = ", "\n", "1")
BODY = Cut("def f(a):\n    ", "\n", "b = a\n    return b")


@pytest.mark.parametrize(
    ("said", "case", "block", "exact"),
    [
        ("value)\nprint(2)\n", CALL, False, (False, True)),
        ("value\nprint(2)\n", CALL, False, (True, True)),
        ("other)\n", CALL, False, (False, False)),
        ("    b = a\n    return b\n\nf(1)\n", BODY, True, (False, True)),
    ],
)
def test_a_text_raw_and_trimmed(said: str, case: Cut, block: bool, exact: tuple[bool, bool]) -> None:
    text = scored(said, case, ended=True, block=block)
    assert (text.raw_exact, text.exact) == exact
    assert (text.raw_similarity == 1, text.similarity == 1) == exact


def test_a_text_that_a_limit_has_cut() -> None:
    assert trimmed("compute(a, b", ASSIGNED, ended=False) == ""
    assert trimmed("compute(a, b)", ASSIGNED, ended=True) == "compute(a, b)"


def test_figures_by_language() -> None:
    go = msgspec.structs.replace(ASSIGNED, language="go")
    texts = [
        scored("value\n", CALL, ended=True),
        scored("value)\n", CALL, ended=True),
        scored("1\n", go, ended=True),
    ]
    found = {figure.name: figure for figure in figures(texts)}
    assert found["em_trimmed_over_raw"].value == pytest.approx(3 / 2)
    assert found["em_trimmed_over_raw_python"].value == pytest.approx(2)
    assert found["em_trimmed_over_raw_go"].value == pytest.approx(1)
    assert found["es_trimmed_over_raw"].value > 1
    assert found["es_trimmed_over_raw"].n == 3


def test_what_is_rightly_not_shown() -> None:
    """A text that repeats the line below counts as wrong among all, and not among those that are shown."""
    repeated = Cut("x = 1\n", "y = value\n", "z = 3")
    texts = [scored("y = value\n", repeated, ended=True), scored("value)\n", CALL, ended=True)]
    assert [text.shown for text in texts] == [False, True]
    found = {figure.name: figure for figure in figures(texts)}
    assert found["es_trimmed_over_raw"].n == 2
    assert found["es_shown_over_raw"].n == 1
    assert found["es_trimmed_over_raw"].value < found["es_shown_over_raw"].value


def test_nothing_right_is_no_figure() -> None:
    assert not [each for each in figures([scored("y\n", CALL, ended=True)]) if each.name.startswith("em_")]
