"""`textDocument/documentSymbol` and `workspace/symbol`: off by default, exact, hierarchical, with unsaved text; through
the real server and the real index service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from editor import READY_TIMEOUT_S
from raw_client import INDEX_ONLY, RawClient, server

from indexer.messages import Definition
from lsp.outline import Kind, Text, flat, kind_of, placed, tree
from lsp.settings import read_settings

DOCUMENT, WORKSPACE = "textDocument/documentSymbol", "workspace/symbol"
PYTHON_ONLY = {**INDEX_ONLY, "symbols": {"languages": ["python"]}}
HIERARCHY = {"documentSymbol": {"hierarchicalDocumentSymbolSupport": True}}
ALL_KINDS = {"symbolKind": {"valueSet": list(range(1, 27))}}
REGISTERS = {"dynamicRegistration": True}

SHAPES = '''\
"""Shapes."""

SIDES = 4  # 😀


class Square:
    """Four equal sides."""

    def __init__(self, side):
        def checked(value):
            return value

        self.side = checked(side)

    def area(self):
        return self.side * self.side


def unit(): return Square(1)
'''
EMOJI = 'A = "😀😀"; BÜRO = 1\n\n\ndef größe(): return "ä"\n'


# What the index knows becomes what the protocol wants


def one(
    name: str, kind: str, start: int, end: int, column: int = 0, container: str = "", line: int = -1
) -> Definition:
    return Definition(
        "a.py", name, kind, start, end, container, name_line=start if line < 0 else line, name_column=column
    )


def outline(definitions: list[Definition]) -> list[Any]:
    """(name, [children]) as a client that shows a hierarchy gets them."""

    def shown(symbols: list[Any]) -> list[Any]:
        return [(each.name, shown(list(each.children or []))) for each in symbols]

    text = Text("\n" * 100, "utf-16")
    return shown(tree(placed(definitions, text)))


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        ([], []),
        ([one("f", "function", 0, 2), one("g", "function", 3, 5)], [("f", []), ("g", [])]),
        (
            [
                one("C", "class", 0, 9),
                one("m", "method", 2, 4, container="C"),
                one("n", "method", 5, 7, container="C"),
            ],
            [("C", [("m", []), ("n", [])])],
        ),
        (
            [
                one("C", "class", 0, 9),
                one("m", "method", 2, 6, container="C"),
                one("in", "function", 3, 5, container="m"),
            ],
            [("C", [("m", [("in", [])])])],
        ),
        ([one("A", "constant", 0, 1), one("B", "constant", 0, 1, 9)], [("A", []), ("B", [])]),
        ([one("C", "class", 0, 1), one("m", "method", 0, 1, 9, "C")], [("C", [("m", [])])]),
        (
            [one("m", "method", 4, 6, container="Shape"), one("Shape", "struct", 0, 3)],
            [("Shape", []), ("Shape.m", [])],
        ),
        ([one("a", "function", 0, 5), one("b", "function", 3, 8)], [("a", []), ("b", [])]),
    ],
    ids=["none", "siblings", "methods", "nested", "one line", "one-line class", "Go method", "overlap"],
)
def test_what_stands_within_another_is_its_child(definitions: list[Definition], expected: list[Any]) -> None:
    assert outline(definitions) == expected


def test_a_thousand_levels_are_no_recursion() -> None:
    deep = [one(f"f{at}", "function", at, 4000 - at) for at in range(1500)]
    symbols = tree(placed(deep, Text("x\n" * 4000, "utf-16")))
    depth = 0
    while symbols:
        (symbol,) = symbols
        depth, symbols = depth + 1, list(symbol.children or [])
    assert depth == 1500


@pytest.mark.parametrize(
    ("encoding", "start", "end"), [("utf-16", 12, 16), ("utf-8", 16, 21), ("utf-32", 10, 14)]
)
def test_names_are_where_the_client_counts_them(encoding: Any, start: int, end: int) -> None:
    found = Text(EMOJI, encoding).name(one("BÜRO", "constant", 0, 1, 10))
    assert found is not None
    assert (found.start.line, found.start.character, found.end.character) == (0, start, end)


def test_lines_that_only_the_client_counts() -> None:
    """A lone carriage return ends a line of the protocol, and none of the index's."""
    found = Text("a\rb\r\ndef f(): pass\n", "utf-16").name(one("f", "function", 1, 2, 4))
    assert found is not None
    assert (found.start.line, found.start.character) == (2, 4)


@pytest.mark.parametrize(
    ("name", "line", "column", "expected"),
    [
        ("here", 0, 4, (0, 4, 8)),
        ("here", 0, 9, (0, 4, 8)),
        ("~here", 0, 4, (0, 4, 4)),
        ("here", 7, 0, None),
        ("here", -1, 0, None),
    ],
    ids=["there", "elsewhere on its line", "written otherwise", "no such line", "not told"],
)
def test_a_name_that_is_not_where_it_was(name: str, line: int, column: int, expected: Any) -> None:
    definition = Definition("a.py", name, "function", 0, 1, name_line=line, name_column=column)
    found = Text("def here(): pass\n", "utf-16").name(definition)
    assert (found and (found.start.line, found.start.character, found.end.character)) == expected


@pytest.mark.parametrize(
    ("kind", "known", "expected"),
    [
        ("struct", {Kind.Struct}, Kind.Struct),
        ("struct", {Kind.Class, Kind.Variable}, Kind.Class),
        ("method", {Kind.Method}, Kind.Method),
        ("something new", {Kind.Variable}, Kind.Variable),
    ],
)
def test_kinds_that_the_client_knows(kind: str, known: set[Kind], expected: Kind) -> None:
    assert kind_of(kind, known) == expected


def test_a_flat_list_names_what_each_belongs_to() -> None:
    definitions = [one("C", "class", 0, 9), one("m", "method", 2, 4, container="C")]
    found = flat(placed(definitions, Text("\n" * 20, "utf-16")), "file:///a.py")
    assert [(each.name, each.container_name) for each in found] == [("C", None), ("m", "C")]


@pytest.mark.parametrize(
    ("given", "languages", "said"),
    [
        ({}, (), ""),
        ({"symbols": {"languages": ["lua", "php"]}}, ("lua", "php"), ""),
        ({"symbols": {"languages": "lua"}}, (), "foreword.symbols.languages cannot be 'lua'"),
        ({"symbols": True}, (), "foreword.symbols cannot be that"),
        ({"symbols": {"lua": True}}, (), "foreword.symbols.lua is no setting"),
        ({"index": False, "symbols": {"languages": ["lua"]}}, ("lua",), "symbols come from the index"),
    ],
)
def test_the_setting(given: Any, languages: tuple[str, ...], said: str) -> None:
    read = read_settings(given)
    assert read.settings.symbols.languages == languages
    assert len(read.complaints) == (1 if said else 0) and said in "".join(read.complaints)


# With the real server and the real service


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "shapes.py").write_text(SHAPES, "utf-8")
    (folder / "other.py").write_text(EMOJI, "utf-8")
    (folder / "page.js").write_text("function unit() { return 1; }\n", "utf-8")
    return folder


@asynccontextmanager
async def session(
    tmp_path: Path, root: Path, options: Any, document: Any = None, symbol: Any = None
) -> AsyncIterator[tuple[RawClient, Any]]:
    """(client, what the server said of itself); the service ends with the server."""
    quick = {"FOREWORD_EMBEDDER": "none", "FOREWORD_SERVICE_IDLE_S": "0.1"}
    async with server(tmp_path, **quick) as client:
        told = await client.initialize(
            options,
            root,
            textDocument=document or {},
            workspace={"symbol": symbol or {}, "configuration": False},
        )
        yield client, told["capabilities"]
        await client.leave()


@asynccontextmanager
async def indexed(
    tmp_path: Path, root: Path, options: Any, document: Any = None, symbol: Any = None
) -> AsyncIterator[tuple[RawClient, Any]]:
    """A session in which the folder is known."""
    async with session(tmp_path, root, options, document, symbol) as (client, told):

        async def known() -> bool:
            roots = (await client.status())["index"].get("roots") or []
            return bool(roots) and all(each["state"] == "ready" for each in roots)

        await eventually(known, limit_s=READY_TIMEOUT_S)
        yield client, told


async def symbols_of(client: RawClient, uri: str) -> Any:
    return await client.result(DOCUMENT, {"textDocument": {"uri": uri}})


async def eventually(ask: Callable[[], Any], limit_s: float = 20.0) -> Any:
    async with asyncio.timeout(limit_s):
        while not (found := await ask()):
            await asyncio.sleep(0.05)
    return found


def places(symbol: Any) -> Any:
    """(name, kind, where all of it stands, where its name stands, children)."""

    def span(range_: Any) -> Any:
        return tuple(range_[end][part] for end in ("start", "end") for part in ("line", "character"))

    return (
        symbol["name"],
        symbol["kind"],
        span(symbol["range"]),
        span(symbol["selectionRange"]),
        [places(child) for child in symbol.get("children", [])],
    )


EXPECTED = [
    ("SIDES", Kind.Constant, (2, 0, 2, 15), (2, 0, 2, 5), []),
    (
        "Square",
        Kind.Class,
        (5, 0, 15, 36),
        (5, 6, 5, 12),
        [
            (
                "__init__",
                Kind.Method,
                (8, 4, 12, 33),
                (8, 8, 8, 16),
                [("checked", Kind.Function, (9, 8, 10, 24), (9, 12, 9, 19), [])],
            ),
            ("area", Kind.Method, (14, 4, 15, 36), (14, 8, 14, 12), []),
        ],
    ),
    ("unit", Kind.Function, (18, 0, 18, 28), (18, 4, 18, 8), []),
]


async def test_nothing_is_announced_or_answered_when_it_is_off(tmp_path: Path, root: Path) -> None:
    async with session(tmp_path, root, INDEX_ONLY, {"documentSymbol": REGISTERS}, REGISTERS) as (
        client,
        told,
    ):
        assert "documentSymbolProvider" not in told and "workspaceSymbolProvider" not in told
        for method, params in (
            (DOCUMENT, {"textDocument": {"uri": "file:///a.py"}}),
            (WORKSPACE, {"query": "unit"}),
        ):
            assert (await client.answer(method, params))["error"]["code"] == -32601
        assert client.requests == []


async def test_a_client_without_registration_is_told_at_once(tmp_path: Path, root: Path) -> None:
    async with indexed(tmp_path, root, PYTHON_ONLY, HIERARCHY) as (client, told):
        assert told["documentSymbolProvider"] is True
        assert told["workspaceSymbolProvider"] == {"resolveProvider": False}
        uri = (root / "shapes.py").as_uri()
        client.open(uri, SHAPES)
        assert [places(each) for each in await symbols_of(client, uri)] == EXPECTED
        script = (root / "page.js").as_uri()
        client.open(script, "function unit() { return 1; }\n", "javascript")
        assert await symbols_of(client, script) is None
        assert client.requests == []


async def test_unsaved_text_counts_at_once(tmp_path: Path, root: Path) -> None:
    async with indexed(tmp_path, root, PYTHON_ONLY, HIERARCHY) as (client, _):
        uri = (root / "shapes.py").as_uri()
        client.open(uri, SHAPES)
        for version in range(2, 6):
            text = f"x = '😀'; y{version} = 0\n" + f"\ndef new{version}(): pass\n"
            client.change(uri, version, {"text": text})
            names = [each["name"] for each in await symbols_of(client, uri)]
            assert f"new{version}" in names and "Square" not in names
        client.change(uri, 9, {"text": EMOJI})
        found = {each["name"]: places(each) for each in await symbols_of(client, uri)}
        assert found["größe"][3] == (3, 4, 3, 9)
        assert found["BÜRO"][3] == (0, 12, 0, 16)


async def test_a_flat_client_gets_a_flat_list(tmp_path: Path, root: Path) -> None:
    async with indexed(tmp_path, root, PYTHON_ONLY) as (client, _):
        uri = (root / "shapes.py").as_uri()
        client.open(uri, SHAPES)
        found = await symbols_of(client, uri)
        assert [(each["name"], each.get("containerName")) for each in found] == [
            ("SIDES", None),
            ("Square", None),
            ("__init__", "Square"),
            ("checked", "__init__"),
            ("area", "Square"),
            ("unit", None),
        ]
        assert all(each["location"]["uri"] == uri for each in found)


async def test_symbols_of_the_workspace(tmp_path: Path, root: Path) -> None:
    async with indexed(tmp_path, root, PYTHON_ONLY, HIERARCHY, ALL_KINDS) as (client, _):

        async def ask(query: str) -> Any:
            return await client.result(WORKSPACE, {"query": query})

        (unit,) = await ask("unit")  # and not the one of page.js, whose language is not asked for
        assert unit["location"]["uri"] == (root / "shapes.py").as_uri()
        assert unit["location"]["range"]["start"] == {"line": 18, "character": 4}
        assert unit["kind"] == Kind.Function
        (buero,) = await ask("BÜRO")
        assert buero["location"]["range"]["start"] == {"line": 0, "character": 12}
        assert (await ask("no_such_name_anywhere")) == []
        area = next(each for each in await ask("area") if each["name"] == "area")
        assert area["containerName"] == "Square"
        assert "Square" in [each["name"] for each in await ask("Squ")]
        uri = (root / "shapes.py").as_uri()
        client.open(uri, "# 😀\n\ndef unsaved(): pass\n")
        (unsaved,) = await ask("unsaved")
        assert unsaved["location"]["range"]["start"] == {"line": 2, "character": 4}
        assert await ask("unit") == []


async def test_registration_follows_the_settings(tmp_path: Path, root: Path) -> None:
    async with indexed(
        tmp_path,
        root,
        PYTHON_ONLY,
        {"documentSymbol": {**HIERARCHY["documentSymbol"], **REGISTERS}},
        REGISTERS,
    ) as (client, told):
        assert "documentSymbolProvider" not in told and "workspaceSymbolProvider" not in told
        asked = await client.until(
            lambda: [it for it in client.requests if it["method"] == "client/registerCapability"]
        )
        registered = {it["method"]: it.get("registerOptions") for it in asked[0]["params"]["registrations"]}
        assert registered[DOCUMENT]["documentSelector"] == [{"language": "python"}]
        assert WORKSPACE in registered
        uri = (root / "page.js").as_uri()
        client.open(uri, "function unit() { return 1; }\n", "javascript")
        assert await symbols_of(client, uri) is None
        changed = {"settings": {"foreword": {"symbols": {"languages": ["javascript"]}}}}
        client.notify("workspace/didChangeConfiguration", changed)
        later = await client.until(lambda: client.requests[1:] if len(client.requests) == 3 else None)
        assert [it["method"] for it in later] == ["client/unregisterCapability", "client/registerCapability"]
        selector = later[1]["params"]["registrations"][0]["registerOptions"]["documentSelector"]
        assert selector == [{"language": "javascript"}]
        assert [each["name"] for each in await symbols_of(client, uri)] == ["unit"]
        client.notify(
            "workspace/didChangeConfiguration", {"settings": {"foreword": {"symbols": {"languages": []}}}}
        )
        await client.until(lambda: len(client.requests) == 4)
        assert client.requests[3]["method"] == "client/unregisterCapability"
        assert await symbols_of(client, uri) is None


async def test_a_cancelled_request_is_answered_as_such(tmp_path: Path, root: Path) -> None:
    async with indexed(tmp_path, root, PYTHON_ONLY, HIERARCHY) as (client, _):
        uri = (root / "shapes.py").as_uri()
        client.open(uri, SHAPES)
        for method, params in ((DOCUMENT, {"textDocument": {"uri": uri}}), (WORKSPACE, {"query": "unit"})):
            number, answer = client.start(method, params)
            client.notify("$/cancelRequest", {"id": number})
            assert (await answer)["error"]["code"] == -32800
        assert [places(each) for each in await symbols_of(client, uri)] == EXPECTED


@pytest.mark.parametrize("uri", ["untitled:1", "file:///nowhere/a.py", "nonsense", ""])
async def test_documents_that_are_in_no_folder(tmp_path: Path, root: Path, uri: str) -> None:
    async with session(tmp_path, root, PYTHON_ONLY, HIERARCHY) as (client, _):
        client.open("untitled:1", SHAPES)
        assert await symbols_of(client, uri) is None


async def test_an_index_that_cannot_be_says_so_and_nothing_pops_up(tmp_path: Path, root: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "foreword").write_text("in the way of the store", "utf-8")
    async with session(tmp_path, root, PYTHON_ONLY, HIERARCHY) as (client, _):
        uri = (root / "shapes.py").as_uri()
        client.open(uri, SHAPES)
        error = (await client.answer(DOCUMENT, {"textDocument": {"uri": uri}}))["error"]
        assert error["code"] == -32803 and "no symbols" in error["message"]
        assert client.logged_as(1) == []
