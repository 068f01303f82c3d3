"""`foreword context` and `foreword/context`: the same window from a terminal and from an editor, without an engine."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from raw_client import INDEX_ONLY, NO_INDEX, RawClient, server

FOREWORD = str(Path(sys.executable).with_name("foreword"))
MONEY = 'def rounded(amount):\n    """To cents."""\n    return round(amount, 2)\n'
CART = "from money import rounded\n\n\ndef total(lines):\n    return rounded(\n\n\nx = '😀'\n"
LINE, COLUMN = 4, 19
"""Of the cursor in CART, 0-based."""
METHOD = "foreword/context"
CANCELLED = -32800


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "shop"
    folder.mkdir()
    (folder / "money.py").write_text(MONEY)
    (folder / "cart.py").write_text(CART)
    (folder / ".env").write_text("KEY=1\n")
    (folder / "pyproject.toml").write_text("")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("home")
    (folder / "run").mkdir(mode=0o700)
    own = {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_RUNTIME_DIR": str(folder / "run")}
    return {**os.environ, **own, "FOREWORD_EMBEDDER": "none", "FOREWORD_SERVICE_IDLE_S": "5"}


def context(home: dict[str, str], root: Path, *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    where = f"{root / 'cart.py'}:{LINE + 1}:{COLUMN + 1}"
    ended = subprocess.run(
        [FOREWORD, "context", where, *more],
        env=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=root.parent,
    )
    assert ended.returncode == code, ended.stderr
    return ended


def test_as_json_text_and_page(home: dict[str, str], root: Path) -> None:
    told = json.loads(context(home, root, "--json").stdout)
    assert [each["path"] for each in told["segments"]] == ["money.py"]
    assert told["segments"][0]["text"] in MONEY
    window = told["window"]
    assert [each["layer"] for each in window["parts"]] == ["header", "retrieved", "window", "suffix"]
    assert window["tokens"] == sum(each["tokens"] for each in window["parts"]) > told["tokens"]
    assert {each["cached"] for each in window["parts"]} == {None}, "no engine runs, so nobody knows"
    assert window["cached_tokens"] is None and "no engine runs here" in window["cached_note"]
    assert CART.startswith(window["parts"][2]["text"])
    assert (
        window["parts"][2] | {"end_line": LINE + 1, "start_line": 1, "path": "cart.py"} == window["parts"][2]
    )
    assert "x = '😀'" in window["parts"][3]["text"]

    text = context(home, root).stdout
    for part in window["parts"]:
        assert f"{part['tokens']} tokens, {part['layer']}: {part['reason']}" in text
    order = [text.index(f"tokens, {each['layer']}:") for each in window["parts"]]
    assert order == sorted(order)
    assert "cached or new: no engine runs here" in text

    ended = context(home, root, "--html", "page.html")
    assert ended.stdout == "" and str(root.parent / "page.html") in ended.stderr
    page = (root.parent / "page.html").read_text(encoding="utf-8")
    assert context(home, root, "--html", "-").stdout == page
    assert page.startswith("<!DOCTYPE html>") and "def rounded(amount):" in page and "cart.py:5:20" in page
    both = context(home, root, "--json", "--html", "both.html")
    assert json.loads(both.stdout) == told and (root.parent / "both.html").read_text(encoding="utf-8") == page
    assert not list(Path(home["XDG_RUNTIME_DIR"]).rglob("engine-*")), "looking starts no engine"


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--html", "no/such/folder/page.html"), 1, "cannot be written"),
        (("--json", "--html", "-"), 2, "both write to stdout"),
        (("--budget", "0"), 3, "no room for anything of the repository"),
        (("--budget", "5"), 3, "too small for any context"),
    ],
)
def test_what_cannot_be_shown_is_said(
    home: dict[str, str], root: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    ended = context(home, root, *more, code=code)
    assert said in re.sub(r"[\s│]+", " ", ended.stderr) and ended.stdout == ""


def test_an_empty_pack_still_has_a_window(home: dict[str, str], root: Path) -> None:
    """The page shows the file; the status says that nothing of the repository is there."""
    context(home, root, "--budget", "5", "--html", "page.html", code=3)
    page = (root.parent / "page.html").read_text(encoding="utf-8")
    assert "too small for any context" in page and "return rounded(" in page


# For editors


@asynccontextmanager
async def session(tmp_path: Path, root: Path, options: Any = INDEX_ONLY) -> AsyncIterator[RawClient]:
    quick = {"FOREWORD_EMBEDDER": "none", "FOREWORD_SERVICE_IDLE_S": "0.1"}
    async with server(tmp_path, **quick) as client:
        await client.initialize(options, root)
        yield client
        await client.leave()


def at(uri: str, line: Any = LINE, character: int = COLUMN, **more: Any) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}, **more}


async def answered(client: RawClient, params: dict[str, Any], until: Any) -> Any:
    """The answer once the index has what it is asked for."""
    async with asyncio.timeout(20):
        while not until(told := await client.result(METHOD, params)):
            await asyncio.sleep(0.05)
    return told


def is_indexed(told: dict[str, Any]) -> bool:
    """Whether the repository's symbols are read: no note speaks of the index's work, and there are segments."""
    return bool(told["segments"]) and not any("is being built" in note for note in told["notes"])


async def test_an_editor_gets_the_same_of_its_live_text(tmp_path: Path, root: Path) -> None:
    async with session(tmp_path, root) as client:
        uri = (root / "cart.py").as_uri()
        client.open(uri, CART)
        told = await answered(client, at(uri, html=True), is_indexed)
        assert told["reason"] == ""
        segment = told["segments"][0]
        assert (segment["path"], segment["startLine"], segment["layer"]) == ("money.py", 0, "retrieved")
        assert segment["text"] == "".join(MONEY.splitlines(keepends=True)[: segment["endLine"]])
        parts = told["window"]["parts"]
        assert [each["layer"] for each in parts] == ["header", "retrieved", "window", "suffix"]
        assert (parts[2]["startLine"], parts[2]["endLine"], parts[2]["path"]) == (0, LINE + 1, "cart.py")
        assert told["window"]["cachedTokens"] is None and "switched off" in told["window"]["cachedNote"]
        assert any("tokens are estimated" in note for note in told["notes"])
        assert "def rounded(amount):" in told["html"] and "return rounded(" in told["html"]

        client.change(uri, 2, {"text": "x = '😀'; unsaved = 1\n" + CART})
        moved = await client.result(METHOD, at(uri, 0, 19))
        assert moved["window"]["parts"][-2]["text"] == "x = '😀'; unsaved ="
        assert "html" not in moved
        few = await client.result(METHOD, at(uri, LINE + 1, budget=1))
        assert few["segments"] == [] and few["budget"] == 1 and "too small" in few["reason"]


NOTHING = (
    (None, 0, "not open"),
    ("cart.py", 99, "no such line"),
    ("../elsewhere.py", 0, "in no folder of the workspace"),
    (".env", 0, "excluded file"),
)


async def test_where_there_is_nothing_it_says_why(tmp_path: Path, root: Path) -> None:
    async with session(tmp_path, root) as client:
        for file, line, said in NOTHING:
            uri = "untitled:1" if file is None else (root / file).resolve().as_uri()
            if file is not None:
                client.open(uri, CART)
            told = await client.result(METHOD, at(uri, line))
            assert said in told["reason"] and told["segments"] == []
            assert (told["window"] is None) == (file != "../elsewhere.py"), (
                "a file outside is shown by itself"
            )


async def test_what_is_no_request_is_refused(tmp_path: Path, root: Path) -> None:
    uri = (root / "cart.py").as_uri()
    bad = (
        {},
        {"textDocument": {"uri": uri}},
        at(uri, budget=-1),
        at(uri, html="yes"),
        at(uri, line="4"),
        at(uri, -1),
    )
    async with session(tmp_path, root, NO_INDEX) as client:
        client.open(uri, CART)
        for params in bad:
            error = (await client.answer(METHOD, params))["error"]
            assert error["code"] == -32602 and METHOD in error["message"], params


async def test_it_can_be_cancelled(tmp_path: Path, root: Path) -> None:
    async with session(tmp_path, root) as client:
        uri = (root / "cart.py").as_uri()
        client.open(uri, CART)
        request_id, answer = client.start(METHOD, at(uri))
        client.notify("$/cancelRequest", {"id": request_id})
        assert (await asyncio.wait_for(answer, 20))["error"]["code"] == CANCELLED
        assert (await client.result(METHOD, at(uri)))["window"]["parts"]
