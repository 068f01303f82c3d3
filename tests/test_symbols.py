"""Definitions by what somebody types of their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from memory_view import MemoryView

from indexer.messages import Symbols
from indexer.names.symbols import QuestionError, find_symbols, ranked

NAMES = [
    *(
        "getUserName",
        "get_user_name",
        "getUser",
        "GetUser",
        "user",
        "User",
        "USER_NAME",
        "useRef",
        "abuser",
        "reuse",
    ),
    *("HTTPServer", "http_server", "HttpServer2", "parse", "Parser", "__init__", "größe", "Größe"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("user", "user User useRef USER_NAME get_user_name GetUser getUser getUserName abuser"),
        ("User", "User user useRef USER_NAME GetUser getUser getUserName get_user_name abuser"),
        ("getUser", "getUser GetUser getUserName get_user_name"),
        ("gun", "getUserName get_user_name"),
        ("gUN", "getUserName get_user_name"),
        ("hs", "HTTPServer HttpServer2 http_server"),
        ("httpserver", "HTTPServer HttpServer2 http_server"),
        ("pars", "parse Parser"),
        ("größe", "größe Größe"),
        ("init", "__init__"),
        ("get user", "GetUser getUser getUserName get_user_name"),
        ("nowhere", ""),
        ("", ""),
        (".*", ""),
        ("\n", ""),
    ],
)
def test_ranked(query: str, expected: str) -> None:
    found = ranked(NAMES, query)
    assert found[: len(expected.split())] == expected.split() and (expected or not found)


@given(
    st.lists(st.text("abAB_\n1é.İ", max_size=6), max_size=8, unique=True), st.text("abAB_1é. İ", max_size=3)
)
def test_exactly_names_with_the_letters_in_order(names: list[str], query: str) -> None:
    def has(name: str) -> bool:
        rest = iter(name.lower())
        return all(letter in rest for letter in "".join(query.split()).lower())

    expected = [name for name in names if query.split() and has(name) and "\n" not in name]
    assert sorted(name for name in ranked(names, query) if "\n" not in name) == sorted(expected)


FILES = {
    "a.py": "class Order:\n    def total(self): ...\n    def order_total(self): ...\n",
    "b.py": "def total(): ...\nORDER = 1\n",
}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Symbols("/project", name="total"), "a.py:total b.py:total"),
        (Symbols("/project", path="a.py"), "a.py:Order a.py:total a.py:order_total"),
        (Symbols("/project", path="a.py", name="total"), "a.py:total"),
        (Symbols("/project", query="order"), "b.py:ORDER a.py:Order a.py:order_total"),
        (Symbols("/project", query="order", limit=1), "b.py:ORDER"),
        (Symbols("/project", query="ot"), "a.py:order_total a.py:total b.py:total"),
        (Symbols("/project", path="a.py", query="tot"), "a.py:total a.py:order_total"),
        (Symbols("/project", name="total", query="x"), ""),
        (Symbols("/project", path="gone.py"), ""),
    ],
)
def test_find_symbols(asked: Symbols, expected: str) -> None:
    found = find_symbols(MemoryView(FILES), asked)
    assert [f"{one.path}:{one.name}" for one in found] == expected.split()


def test_asking_for_nothing_says_what_to_ask() -> None:
    with pytest.raises(QuestionError, match="by name, by path or by query"):
        find_symbols(MemoryView(FILES), Symbols("/project"))


def test_definitions_tell_where_their_names_stand() -> None:
    (found,) = find_symbols(
        MemoryView({"a.py": '@deco\ndef run():\n    """Runs."""\n'}), Symbols("/", name="run")
    )
    assert (found.start_line, found.name_line, found.name_column, found.docstring) == (0, 1, 4, "Runs.")
