"""What was offered in a document, found again on the way through it, and never where something is another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.documents import Snapshot
from lsp.offers.freshness import Context, Setting, Source, is_fresh, source_of
from lsp.offers.offered import MAX_PLACES, Offer, Offered
from lsp.offers.suggestions import left_of, plain, typed_between

CURSOR = "▮"
SETTING = Setting("model there", hash(""), Context.WHOLE)
SOURCE = Source(SETTING)


def place(marked: str) -> tuple[str, str]:
    before, _, after = marked.partition(CURSOR)
    return before, after


def tree(*offered: tuple[str, str]) -> Offered:
    made = Offered()
    for marked, text in offered:
        made.add(*place(marked), Offer(text, 0, SOURCE))
    return made


def left(of: Offered, marked: str) -> list[str]:
    return [each.left.text for each in of.at(*place(marked))]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("x = ▮\n", ["foo(a, b)"]),
        ("x = f▮\n", ["oo(a, b)"]),
        ("x = foo(a,▮\n", [" b)"]),
        ("x = foo(a, b)▮\n", []),
        ("x = g▮\n", []),
        ("x =▮\n", []),
        ("x = ▮f\n", []),
        ("y = f▮\n", []),
        ("x = f▮\n\n", []),
        ("x = foo(▮)\n", ["a, b)"]),
        ("x = foo(a▮)\n", [", b)"]),
        ("x = foo(▮]\n", []),
        ("x = f▮)\n", []),
        ("x = foo▮()\n", []),
    ],
)
def test_typing_along_and_back(now: str, expected: list[str]) -> None:
    assert left(tree(("x = ▮\n", "foo(a, b)")), now) == expected


def test_what_the_editor_closed_is_replaced() -> None:
    (found,) = tree(("x = ▮\n", 'foo(a["k"])')).at(*place('x = foo(a["▮"])\n'))
    assert (found.left.text, found.left.closers) == ('k"])', 3)


@pytest.mark.parametrize(
    ("offered", "now", "expected"),
    [
        ("a = 1\nb = 2", "a = 1\r\nb▮\r\n", [" = 2"]),
        ("a = 1\r\nb = 2", "a = 1\nb▮\r\n", [" = 2"]),
        ("a = 1\r\n\tb = 2", "a = 1\r\n\t▮\r\n", ["b = 2"]),
        ("a = 1\r\n\tb = 2", "a = 1\r\n    ▮\r\n", []),
    ],
)
def test_line_ends_of_two_kinds_are_one(offered: str, now: str, expected: list[str]) -> None:
    assert left(tree(("▮\r\n", offered)), now) == expected


def test_one_place_leads_to_the_next() -> None:
    made = tree(("x = ▮\n", "foo(a)"), ("x = foo(a)▮\n", "\ny = bar(a)"))
    assert left(made, "x = fo▮\n") == ["o(a)"]
    assert left(made, "x = foo(a)▮\n") == ["\ny = bar(a)"]
    assert left(made, "x = foo(a)\ny▮\n") == [" = bar(a)"]


def test_what_was_used_last_comes_first() -> None:
    made = tree(("x▮\n", " = 1 + 2"), ("x = ▮\n", "1 + 3"))
    assert left(made, "x = 1▮\n") == [" + 3", " + 2"]
    made.used(made.at(*place("x▮\n"))[0].anchor)
    assert left(made, "x = 1▮\n") == [" + 2", " + 3"]


def test_several_offers_of_a_place() -> None:
    made = Offered()
    made.add("x = ", "\n", *(Offer(text, 0, SOURCE) for text in ("foo()", "bar()", "baz()")), choices=True)
    assert left(made, "x = ba▮\n") == ["r()", "z()"]
    assert [each.text for each in made.choices("x = ", "\n")] == ["foo()", "bar()", "baz()"]
    assert made.choices("x = b", "\n") == ()
    made.add("x = ", "\n", Offer("foo()", 0, SOURCE))
    assert made.choices("x = ", "\n") == ()


def test_the_places_used_last_are_kept() -> None:
    made = tree(("first ▮", "one"))
    first = made.at(*place("first ▮"))[0].anchor
    for number in range(2 * MAX_PLACES):
        made.add(f"{number} ", "", Offer("one", 0, SOURCE))
        made.used(first)
    assert len(made) == MAX_PLACES
    assert left(made, "first ▮") == ["one"]
    assert left(made, f"{2 * MAX_PLACES - 1} ▮") == ["one"] and left(made, "0 ▮") == []


def test_what_is_dropped_is_gone() -> None:
    made = tree(("x = ▮\n", "foo(a)"))
    made.drop(made.at(*place("x = f▮\n"))[0].anchor)
    assert left(made, "x = f▮\n") == [] and made.knows(*place("x = ▮\n")) is None


@pytest.mark.parametrize(
    ("text", "typed", "closers", "expected"),
    [
        ("foo", "foo", "", None),
        ("foo \n", "foo", "", None),
        ("f(a)", "f(", ")", "a)"),
        ("f(a", "f(", ")", None),  # what is left does not close what would be replaced
        ("f(a)", "f", ")", None),
        ('"a(" + b', '"a(', '"', '" + b'),
        ('"a(" + b', '"a(', ")", None),
        ("[(a)]", "[(", ")]", "a)]"),
        ("[(a)]", "[(", "])", None),
    ],
)
def test_what_is_left(text: str, typed: str, closers: str, expected: str | None) -> None:
    found = left_of(text, typed, closers)
    assert (found.text if found is not None else None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = \n", [""]),
        ("a = f(\n", ["f("]),
        ("a = f(])\n", ["f(])", "f(]", "f("]),
        ("b = \n", []),
        ("a =\n", []),
    ],
)
def test_what_may_have_been_typed(text: str, expected: list[str]) -> None:
    assert typed_between(text, "a = ", "\n") == expected


# ---------------------------------------------------------------- as true as it was


def test_a_suggestion_is_as_old_as_the_files_that_it_quotes(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text("x = 1\n")
    unsaved = Snapshot("file:///b", str(tmp_path / "b.py"), "python", 1, "x = 2\n")
    documents = {str(tmp_path / "b.py"): unsaved}
    source = source_of(SETTING, str(tmp_path), ["a.py", "b.py", "a.py", "gone.py"], documents)
    assert len(source.files) == 3
    assert is_fresh(source, SETTING, documents)
    (tmp_path / "b.py").write_text("what is open counts, not what is on disk\n")
    (tmp_path / "c.py").write_text("not quoted\n")
    assert is_fresh(source, SETTING, documents)
    assert not is_fresh(source, SETTING, {})
    edited = Snapshot("file:///b", str(tmp_path / "b.py"), "python", 2, "x = 3\n")
    assert not is_fresh(source, SETTING, {str(tmp_path / "b.py"): edited})
    (tmp_path / "a.py").write_text("x = 10\n")
    assert not is_fresh(source, SETTING, documents)


@pytest.mark.parametrize("text", ["x = 'ä'\n", "x = 'ä'\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_who_only_looks_into_a_file_does_not_change_it(tmp_path: Path, text: str, mark: bytes) -> None:
    path = str(tmp_path / "a.py")
    (tmp_path / "a.py").write_bytes(mark + text.encode())
    opened = {path: Snapshot("file:///a", path, "python", 1, text)}
    edited = {path: Snapshot("file:///a", path, "python", 2, text + "y")}
    then, while_open, while_edited = (
        source_of(SETTING, str(tmp_path), ["a.py"], documents) for documents in ({}, opened, edited)
    )
    assert is_fresh(then, SETTING, opened) and not is_fresh(then, SETTING, edited)
    assert is_fresh(while_open, SETTING, {}) and not is_fresh(while_edited, SETTING, {})
    (tmp_path / "a.py").write_bytes(mark + text.encode() + b"y")
    assert not is_fresh(then, SETTING, opened), "it was read as it was before"
    assert is_fresh(while_edited, SETTING, {}), "it was saved, then closed"


@pytest.mark.parametrize("name", ["a.py", "gone.py"])
def test_a_file_that_goes_or_comes(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    source = source_of(SETTING, str(tmp_path), [name], {})
    file = tmp_path / name
    _ = file.unlink() if file.exists() else file.write_text("")
    assert not is_fresh(source, SETTING, {})


@pytest.mark.parametrize(
    ("then", "now", "fresh"),
    [
        (SETTING, SETTING, True),
        (SETTING, Setting("another model", hash(""), Context.WHOLE), False),
        (SETTING, Setting("", hash(""), Context.WHOLE), True),  # it is starting again
        (SETTING, Setting("model there", hash("import os\n"), Context.WHOLE), False),
        (SETTING, Setting("model there", hash(""), Context.NONE), True),
        (Setting("model there", hash(""), Context.NONE), SETTING, False),
        (Setting("model there", hash(""), Context.INDEXING), SETTING, False),
    ],
)
def test_a_suggestion_is_as_old_as_its_setting(then: Setting, now: Setting, fresh: bool) -> None:
    assert is_fresh(Source(then), now, {}) == fresh


# ---------------------------------------------------------------- whatever is typed

WRITTEN = st.text(alphabet='ab(])"\n\r\t é😀', max_size=8)


@given(st.lists(st.tuples(WRITTEN, WRITTEN, WRITTEN.filter(str.strip)), min_size=1, max_size=6), st.data())
def test_what_is_found_leads_where_the_offer_led(
    offered: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    """Accepting what is left gives the document that accepting the whole offer would have given."""
    made = Offered()
    for before, after, text in offered:
        made.add(before, after, Offer(text, 0, SOURCE))
    before, after, text = data.draw(st.sampled_from(offered))
    typed = data.draw(st.one_of(st.just(text[: data.draw(st.integers(0, len(text)))]), WRITTEN))
    closers = data.draw(st.sampled_from(["", ")", '"', ")]"]))
    for found in made.at(before + typed, closers + after):
        accepted = plain(before + typed) + found.left.text + (closers + after)[found.left.closers :]
        led = {plain(then) + plain(offer) + rest for then, rest, offer in offered}
        assert accepted in led
        assert found.left.text.strip()


@given(st.tuples(WRITTEN, WRITTEN, WRITTEN.filter(str.strip)), st.data())
def test_on_the_way_through_an_offer_it_is_always_found(
    offered: tuple[str, str, str], data: st.DataObject
) -> None:
    before, after, text = offered
    text = plain(text)
    made = Offered()
    made.add(before, after, Offer(text, 0, SOURCE))
    typed = text[: data.draw(st.integers(0, len(text)))]
    rest = text[len(typed) :]
    found = [each.left.text for each in made.at(before + typed, after)]
    assert found == ([rest] if rest.strip() else [])
