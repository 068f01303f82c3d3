"""One line or many, beside what the syntax says: what is selected in the client's list, what was passed over."""

from __future__ import annotations

import pytest
from scripted import ScriptedEndpoint
from test_completion import CURSOR, Session

from lsp.documents import Snapshot
from lsp.inline import SelectedItem
from lsp.offers.extent import most_lines, passed_over
from lsp.offers.suggestions import Suggestion, remembered

DOCUMENT = "def f(a):\n    ▮\n"
OFFERED = "b = a\n    return b"


def asked(marked: str) -> tuple[Snapshot, int]:
    return Snapshot("untitled:1", None, "python", 1, marked.replace(CURSOR, "")), marked.index(CURSOR)


def offered(marked: str = DOCUMENT, text: str = OFFERED) -> Suggestion:
    return remembered(*asked(marked), text, 0)


@pytest.mark.parametrize(
    ("now", "above"),
    [
        ("def f(a):\n    ▮\n", None),
        ("def f(a):\n    b▮\n", None),
        ("def f(a):\n    x▮\n", "def f(a):\n"),
        ("def f(a):\n    bx▮\n", "def f(a):\n"),
        ("def f(a):\n▮\n", None),
        ("def f(a):\n    x\n    ▮\n", None),
        ("def g(a):\n    x▮\n", None),
        ("def f(a):\n    b = a\n    return b▮\n", None),
    ],
)
def test_what_was_passed_over(now: str, above: str | None) -> None:
    assert passed_over(offered(), *asked(now)) == above


def test_a_single_line_is_never_passed_over() -> None:
    assert passed_over(offered(text="b = a"), *asked("def f(a):\n    x▮\n")) is None


@pytest.mark.parametrize(
    ("now", "lines"),
    [
        ("def f(a):\n    x▮\n", 1),
        ("def f(a):\n    ▮\n", 1),
        ("def f(a):\n    for x in a▮\n", 1),
        ("def f(a):\n    for x in a:▮\n", 40),
        ("def f(a):\n    x = 1\n    ▮\n", 40),
        ("def g(a):\n    ▮\n", 40),
    ],
)
def test_one_line_where_a_block_was_passed_over(now: str, lines: int) -> None:
    assert most_lines(40, "def f(a):\n", *asked(now), selected=False) == lines
    assert most_lines(40, None, *asked(now), selected=False) == 40
    assert most_lines(40, None, *asked(now), selected=True) == 1


async def test_a_block_once_then_a_line_on_the_same_line() -> None:
    session = Session(ScriptedEndpoint(f"    {OFFERED}\nx = 1\n"))
    assert (await session.ask(DOCUMENT)).text == OFFERED
    assert (await session.ask("def f(a):\n    c▮\n", version=2)).text.count("\n") == 0
    assert (await session.ask("def f(a):\n    ▮\n\n", version=3)).text == "b = a"
    assert (await session.ask("def f(a):\n    c\n    ▮\n", version=4)).text == OFFERED


async def test_one_line_behind_a_selected_item() -> None:
    session = Session(ScriptedEndpoint("\n    b = a\n    return b\nx = 1\n"))
    assert (await session.ask("def f(a):▮\n")).text == "\n    b = a\n    return b"
    snapshot, offset = session.open("if f(a)▮\n", version=2)
    outcome = await session.completions.answer(snapshot, offset, SelectedItem(6, 7, "):"))
    assert (outcome.text, outcome.reason) == ("", "the line is complete")


async def test_a_remembered_block_is_one_line_behind_a_selected_item() -> None:
    session = Session(ScriptedEndpoint("\n    b = a\n    return b\nx = 1\n"))
    whole = await session.completions.answer(*session.open("def f(a):▮\n", version=2))
    assert whole.text == "\n    b = a\n    return b"
    snapshot, offset = session.open("def f(a)▮\n", version=3)
    assert (await session.completions.answer(snapshot, offset, SelectedItem(7, 8, "):"))).text == ""
