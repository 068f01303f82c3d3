"""Which code actions are offered where, and what is made of them when one is chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.messages import Reference, ReferenceList
from indexer.parsing.tags import tags
from lsp.edits.actions import KINDS, Here, innermost, is_stub, offers, wanted
from lsp.edits.chosen import task_of
from lsp.edits.reading import CannotEdit
from lsp.edits.task import Diagnosed, Focus
from lsp.edits.test_places import test_path as place_of_tests

SHOP = '''import os


class Cart:
    """What somebody buys."""

    def add(self, item):
        self.items.append(item)

    def clear(self):
        """Empties it."""
        raise NotImplementedError

    def total(self):
        """All prices."""
        return sum(self.items)
'''
UNUSED = Diagnosed("shop.py", 1, "`os` imported but unused", "ruff", "F401")


def offered(first: int, last: int = 0, **changes):
    lines = SHOP.split("\n")[:-1]
    options = {"several_files": True, "asks": True} | {
        key: changes.pop(key) for key in ("several_files", "asks", "automatic") if key in changes
    }
    here = Here("shop.py", lines, "python", first, last or first, selected=last > first, **changes)
    return {each.what: each for each in offers(here, tags(SHOP, "python").definitions, **options)}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (1, {"explain", "refactor"}),
        (2, set()),
        (4, {"explain", "refactor", "tests"}),
        (7, {"explain", "refactor", "tests", "document", "callers"}),
        (8, {"explain", "refactor", "tests", "document"}),
        (10, {"explain", "refactor", "tests", "implement", "callers"}),
        (12, {"explain", "refactor", "tests", "implement"}),
        (14, {"explain", "refactor", "tests", "callers"}),
    ],
)
def test_each_is_offered_only_where_it_makes_sense(line, expected):
    assert set(offered(line)) == expected


def test_what_a_model_and_a_client_cannot_do_is_not_offered():
    assert "callers" not in offered(7, several_files=False)
    assert "refactor" not in offered(7, asks=False)


def test_only_what_is_wrong_is_worth_a_sign_in_the_margin():
    assert set(offered(7, automatic=True)) == set()
    assert set(offered(1, automatic=True, diagnostics=[UNUSED])) == {"fix"}


def test_diagnostics():
    other = Diagnosed("shop.py", 8, "`sys` imported but unused", "ruff", "F401")
    another = Diagnosed("shop.py", 9, "too long", "ruff", "E501")
    found = offered(1, diagnostics=[UNUSED], elsewhere=[another, other])
    assert found["fix"].title == "Fix: `os` imported but unused" and found["fix"].diagnostics == (UNUSED,)
    assert found["fix all"].title == "Fix all 2 of F401 in this file"
    assert found["fix all"].diagnostics == (UNUSED, other)
    assert "fix all" not in offered(1, diagnostics=[UNUSED], elsewhere=[another])


@pytest.mark.parametrize(
    ("kind", "only", "right"),
    [
        ("refactor.rewrite", None, True),
        ("refactor.rewrite", ["refactor"], True),
        ("refactor.rewrite", ["refactor.rewrite"], True),
        ("refactor.rewrite", ["refactor.extract"], False),
        ("refactor.rewrite", ["ref"], False),
        ("quickfix", ["source.fixAll"], False),
        ("source.tests", ["source"], True),
        ("quickfix", [""], True),
        ("quickfix", [], False),
    ],
)
def test_only_the_kinds_that_a_client_wants(kind, only, right):
    assert kind in KINDS
    assert wanted(kind, only) is right


STUBS = [
    ("def f(x):\n    pass", True),
    ("def f(x):\n    ...", True),
    ('def f(x):\n    """Does."""\n    raise NotImplementedError("later")', True),
    ('def f(x):\n    """Does.\n\n    Much.\n    """\n    pass', True),
    ("def f(x):\n    # TODO: write\n    pass", True),
    ("def f(x):\n    return 1", False),
    ("def f(x):\n    x()\n    pass", False),
    ("fn f() -> i32 {\n    todo!()\n}", True),
    ('func f() int {\n\tpanic("not implemented")\n}', True),
    ('func f() int {\n\tpanic("impossible")\n}', False),
    ('function f() {\n  throw new Error("Not implemented");\n}', True),
    ('function f() {\n  throw new Error("too long");\n}', False),
    ("int f() {\n    throw new UnsupportedOperationException();\n}", True),
    ("function f() {\n}", False),
    ("x = 1", False),
]


@pytest.mark.parametrize(("text", "right"), STUBS)
def test_stubs(text, right):
    assert is_stub(text.split("\n")) is right


def test_the_innermost_definition():
    definitions = tags(SHOP, "python").definitions
    assert innermost(definitions, 8, 8).name == "add"
    assert innermost(definitions, 7, 12).name == "Cart"
    assert innermost(definitions, 1, 1) is None


class Index:
    """An index that knows some references."""

    def __init__(self, *references: Reference, note: str = "") -> None:
        self._answer = ReferenceList(list(references), note)

    async def references(self, root, name, limit=200, *, path="", line=-1):
        return self._answer


async def task(line: int, what: str, index=None, root: Path = Path("/nowhere"), **changes):
    return await task_of(offered(line, **changes)[what], "shop.py", SHOP.split("\n"), "python", root, index)


async def test_a_fix_is_kept_to_the_lines_around_it():
    made = await task(1, "fix", diagnostics=[UNUSED])
    assert made.paths == ["shop.py"] and made.shape == "one place" and made.confined
    assert made.focus == [Focus("shop.py", 1, 7)] and made.diagnostics == (UNUSED,)
    assert made.instruction == "Fix: `os` imported but unused"


async def test_a_definition_is_what_changes():
    made = await task(10, "implement")
    assert (
        made.instruction == "Implement `clear`."
        and made.focus == [Focus("shop.py", 10, 12)]
        and made.confined
    )


async def test_callers_are_those_that_the_index_knows():
    index = Index(
        Reference("pay.py", "add", 30, kind="call", target_path="shop.py"),
        Reference("pay.py", "add", 2, kind="import", target_path="shop.py"),
        Reference("page.py", "add", 8, kind="call", target_path="shop.py"),
    )
    made = await task(7, "callers", index)
    assert made.paths == ["pay.py", "page.py"]
    assert made.focus == [Focus("pay.py", 25, 37), Focus("page.py", 3, 15)]
    assert made.reads == [Focus("shop.py", 7, 8)]
    assert "def add(self, item):" in made.instruction


@pytest.mark.parametrize(
    ("index", "why"),
    [
        (None, "index alone"),
        (Index(), "nothing in the index refers to `add`"),
        (Index(note="the index is being built"), "being built"),
        (Index(*(Reference(f"{at}.py", "add", 1, kind="call") for at in range(65))), "used in 65 files"),
    ],
)
async def test_callers_that_cannot_be_changed(index, why):
    with pytest.raises(CannotEdit, match=why):
        await task(7, "callers", index)


TESTS = [
    ("src/shop/cart.py", "python", [], "tests/test_cart.py"),
    ("src/shop/cart.py", "python", ["tests/test_cart.py"], "tests/test_cart.py"),
    ("src/shop/cart.py", "python", ["tests/unit/test_other.py"], "tests/unit/test_cart.py"),
    ("src/shop/cart.py", "python", ["src/shop/test_other.py"], "src/shop/test_cart.py"),
    ("src/shop/cart.py", "python", ["src/shop/cart_test.py"], "src/shop/cart_test.py"),
    ("pkg/cart.go", "go", [], "pkg/cart_test.go"),
    ("src/cart.ts", "typescript", [], "src/cart.test.ts"),
    ("src/cart.ts", "typescript", ["src/__tests__/a.test.ts"], "src/__tests__/cart.test.ts"),
    ("lib/shop/cart.rb", "ruby", [], "spec/shop/cart_spec.rb"),
    ("a/src/main/java/Cart.java", "java", [], "a/src/test/java/CartTest.java"),
    ("cart.lua", "lua", [], None),
]


@pytest.mark.parametrize(("path", "language", "there", "expected"), TESTS)
def test_tests_belong_where_the_repository_keeps_its_tests(tmp_path, path, language, there, expected):
    for each in there:
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text("")
    assert place_of_tests(tmp_path, path, language) == expected


async def test_new_tests_make_a_file_and_more_tests_change_one(tmp_path):
    made = await task(4, "tests", root=tmp_path)
    assert made.new_paths == ["tests/test_shop.py"] and made.paths == []
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_shop.py").write_text("import shop\n")
    made = await task(4, "tests", root=tmp_path)
    assert made.new_paths == [] and made.paths == ["tests/test_shop.py"]
    assert made.reads == [Focus("shop.py", 4, 16)]
