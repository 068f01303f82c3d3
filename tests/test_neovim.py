"""The plug-in for Neovim in real Neovims, with the real server and index service."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from editor import READY_TIMEOUT_S
from index_service import isolate, repository, stop_service
from misbehaving import EVENTS, Exchange, served
from neovim_editor import Terminal, Typist, home_of, init_of, typist
from neovims import Neovim, Unavailable, of_debian, of_pypi

from engine.editing.blocks import Create, Replace, Search, write_all

NO_ENGINE = {"settings": {"engine": {"kind": "none"}}}
FILES = {
    "shop/__init__.py": "",
    "shop/pricing.py": "def net_price(gross, group):\n    discount = 0.2\n    return gross * (1 - discount)\n",
    "shop/order.py": "from shop.pricing import net_price\n\n\ndef price_of(gross, group):\n    return net_price\n",
}
FASTER = "local later = vim.defer_fn\nvim.defer_fn = function(what, ms) return later(what, ms / 50) end\n"
"""The seconds between two starts of a server pass at once."""


@pytest.fixture(params=[of_pypi, of_debian], ids=["0.11", "0.12"])
def neovim(request) -> Neovim:
    return had(request.param)


def had(of) -> Neovim:
    """Never skipped in silence: what is missing, and why, is told at the end of a run too."""
    try:
        return of()
    except Unavailable as why:
        warnings.warn(f"not tested in Neovim {of.__name__}: {why}", stacklevel=1)
        pytest.skip(str(why))


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """Folders of this test alone, and no index service left behind."""
    isolate(monkeypatch, tmp_path)
    yield tmp_path
    asyncio.run(stop_service())


@pytest.fixture
def shop(tmp_path) -> Path:
    return repository(tmp_path / "repository", FILES)


# ---------------------------------------------------------------- options, keys, the command line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": 1}, "no option colour"),
        ({"cmd": "foreword lsp"}, "cmd: expected a list of strings"),
        ({"cmd": []}, "cmd: expected a list of strings"),
        ({"inline": "yes"}, "inline: expected boolean"),
        ({"settings": 3}, "settings: expected table"),
        ({"filetypes": ["lua", 1]}, "filetypes: expected a list of file types"),
        ({"keys": {"accept_all": "<Tab>"}}, "no option keys.accept_all"),
        ({"keys": {"accept": ""}}, "keys.accept: expected a key"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_a_wrong_option_is_named(tmp_path, options, message):
    with typist(had(of_pypi), tmp_path, {"enable": False}) as one:
        asked = "local ok, why = pcall(require('foreword').setup, ...); return { ok, why }"
        ok, why = one.lua(asked, options)
        assert not ok and message in why


def test_names_of_the_command_line(neovim, tmp_path):
    with typist(neovim, tmp_path, {"enable": False}) as one:
        known = one.nvim.funcs.getcompletion("Foreword ", "cmdline")
        assert {"status", "restart", "pause", "resume", "context", "edit", "log", "doctor", "index"} <= set(
            known
        )
        assert one.nvim.funcs.getcompletion("Foreword st", "cmdline") == ["stats", "status"]
        one.nvim.command("edit a.py | set filetype=python")
        assert one.nvim.funcs.getcompletion("Foreword pause py", "cmdline") == ["python"]
        one.nvim.command("Foreword pause python")
        assert one.nvim.funcs.getcompletion("Foreword resume ", "cmdline") == ["python"]
        one.nvim.command("Foreword dance")
        one.nvim.command("Foreword status now")
        assert "paused for python" in one.told()[0]
        assert "there is no 'dance'; known: cancel, " in one.told()[1]
        assert "status takes no argument" in one.told()[2]


def test_keys_that_are_mapped_stay_and_tab_is_a_tab_where_nothing_is_shown(neovim, tmp_path):
    mine = "vim.keymap.set('i', '<M-]>', 'mine', { desc = 'my own' })\n"
    with typist(neovim, tmp_path, {"enable": False}, before=mine) as one:
        one.type("i<Tab>x<M-]><Esc>")
        assert one.text() == "\txmine"
        assert "<M-]> is left to its mapping (my own)" in one.health()
        one.lua("require('foreword').setup({ enable = false, keys = false })")
        assert "snippet" in one.nvim.funcs.maparg("<Tab>", "i", False, True)["desc"]


def test_tab_still_goes_to_the_next_place_of_a_snippet(neovim, tmp_path):
    with typist(neovim, tmp_path, {"enable": False}) as one:
        one.type("i")
        one.lua("vim.snippet.expand('f(${1:a}, ${2:b})')")
        one.until(lambda: one.mode() == "s", "the first place selected")
        one.type("x")
        one.until(lambda: one.text() == "f(x, b)")
        one.type("<Tab>")
        one.until(lambda: one.mode() == "s", "the second place selected")
        one.type("y")
        one.until(lambda: one.text() == "f(x, y)")


# ---------------------------------------------------------------- what goes wrong


def test_a_missing_command_is_told_once_with_what_helps(neovim, tmp_path):
    with typist(neovim, tmp_path, {"cmd": ["no-such-foreword", "lsp"]}) as one:
        one.open(tmp_path / "a.py")
        one.open(tmp_path / "b.py")
        one.until(one.told)
        (message,) = one.told()
        assert "'no-such-foreword' is not found" in message and ":Foreword restart" in message
        assert "ERROR the command 'no-such-foreword' is not found" in one.health()
        assert one.status() == "foreword: stopped, see :checkhealth foreword"


def test_a_python_that_is_gone_is_named(tmp_path):
    program = tmp_path / "foreword"
    program.write_text("#!/nowhere/bin/python\n")
    program.chmod(0o755)
    with typist(had(of_pypi), tmp_path, {"enable": False, "cmd": [str(program), "lsp"]}) as one:
        assert "installed for a Python that is gone: /nowhere/bin/python" in one.health()


def test_a_server_that_dies_five_times_is_given_up_with_one_message(neovim, tmp_path):
    starts = tmp_path / "starts"
    program = tmp_path / "dying"
    program.write_text(f"#!/bin/sh\necho start >>{starts}\necho the reason >&2\nexit 3\n")
    program.chmod(0o755)
    with typist(neovim, tmp_path, {"cmd": [str(program)]}, before=FASTER) as one:
        one.open(tmp_path / "a.py")
        one.nvim.command("set filetype=python")
        one.until(one.told, "a message")
        started = starts.read_text()
        one.open(tmp_path / "b.py")
        one.nvim.command("set filetype=python")
        (message,) = one.told()
        assert "died 5 times, the last time with status 3" in message and ":Foreword log" in message
        assert started.count("start") >= 5 and starts.read_text() == started, "and it is left alone then"
        assert "died 5 times" in one.health()


# ---------------------------------------------------------------- with the real server and index, without a model


def until_indexed(one: Typist) -> None:
    asked = """
      local client = require('foreword.server').client()
      local answer = client and client.initialized and client:request_sync('foreword/status', vim.empty_dict(), 3000)
      local roots = answer and answer.result.index.roots or {}
      return #roots > 0 and roots[1].state == 'ready'
    """
    one.until(lambda: one.lua(asked), "an index")


def test_context_status_and_health_without_a_model(neovim, alone, shop):
    with typist(neovim, alone, NO_ENGINE, cwd=shop) as one:
        one.open(shop / "shop" / "order.py")
        until_indexed(one)
        one.nvim.command("Foreword status")
        one.until(lambda: "server     " in one.text())
        assert "engine     off" in one.text() and "ready, 3 files" in one.text()
        one.type("q")
        one.until(lambda: one.status() == "foreword: index only")
        health = one.health()
        assert "OK foreword " in health and "Python 3" in health and "3 files, ready" in health
        assert "ERROR" not in health
        assert ("has everything but ghost text" in health) == (neovim.version < (0, 12))
        titles = [value["title"] for value in one.lua("return PROGRESS") if value["kind"] == "begin"]
        assert any("indexing" in title for title in titles)


def test_the_context_window_shows_part_by_part_what_a_model_would_read(neovim, alone, shop):
    with typist(neovim, alone, NO_ENGINE, cwd=shop) as one:
        one.open(shop / "shop" / "order.py")
        until_indexed(one)
        one.type("G$")
        one.nvim.command("Foreword context")
        one.until(lambda: one.nvim.current.buffer.name == "foreword://context", "the window")
        lines = one.text().split("\n")
        (at,) = [
            number
            for number, line in enumerate(lines, 1)
            if line.startswith("retrieved") and "pricing.py" in line
        ]
        assert "net_price" in lines[at - 1], "the reason is told"
        assert lines[at] == "    def net_price(gross, group):"
        assert one.nvim.funcs.foldclosed(at) == -1, "heads are seen"
        several = at + 1 < len(lines) and lines[at + 1].startswith("    ")
        assert (one.nvim.funcs.foldclosed(at + 1) == at + 1) == several, "texts of several lines are folded"
        one.nvim.command(str(at))
        one.type("<CR>")
        assert one.nvim.current.buffer.name == str(shop / "shop" / "pricing.py")


def test_what_the_server_logs_is_kept(neovim, alone, shop):
    with typist(neovim, alone, {"settings": {"engine": {"kind": "none"}, "maxLines": 0}}, cwd=shop) as one:
        one.open(shop / "shop" / "order.py")
        until_indexed(one)
        one.nvim.command("Foreword log")
        assert "maxLines" in one.text() and "warning" in one.text()
        assert "a setting was not taken" in one.health()


def test_where_the_cursor_rests_is_told_to_the_server(neovim, alone, shop):
    """It would be read ahead if there were a model."""
    told = """
      local answer = require('foreword.server').client():request_sync('foreword/status', vim.empty_dict(), 3000)
      return answer and answer.result.readAhead.uri
    """
    with typist(neovim, alone, NO_ENGINE, cwd=shop) as one:
        one.open(shop / "shop" / "order.py")
        until_indexed(one)
        one.until(lambda: str(one.lua(told)).endswith("order.py"), "the first place")
        one.nvim.command("Foreword pause")
        one.open(shop / "shop" / "pricing.py")
        one.type("G$")
        time.sleep(2.0)
        assert str(one.lua(told)).endswith("order.py"), "nobody wants suggestions there"
        one.nvim.command("Foreword resume")
        one.type("gg")
        one.until(lambda: str(one.lua(told)).endswith("pricing.py"), "the place in the other file")


# ---------------------------------------------------------------- ghost text, with a model


def with_engine(test):
    """With the run's one engine, hence one after another where tests run side by side."""
    return pytest.mark.engine(pytest.mark.xdist_group("engine")(test))


MODEL = {"settings": {"model": "qwen2.5-coder-0.5b"}}
READY = "foreword: Qwen2.5-Coder-0.5B-Instruct"
COLOURS = 'RED = "red"\nGREEN = "green"\nBLUE = "blue"\nYELLOW = "yellow"\nORANGE ='


def ghost(one: Typist, beside: str = "") -> str:
    """The ghost text, once there is one that is not `beside`."""

    def shown() -> str:
        found = [text for text in one.ghosts() if text not in ("", beside)]
        return found[0] if found else ""

    return one.until(shown, "ghost text", timeout_s=READY_TIMEOUT_S)


def type_colours(one: Typist) -> str:
    """Types until something is worth offering, and tells the text before the cursor."""
    one.type("i" + COLOURS.replace("\n", "<CR>"))
    assert one.text() == COLOURS
    return COLOURS


@with_engine
def test_ghost_text_is_accepted_by_a_word_then_whole_and_undone(engine_home, shop, tmp_path):
    with typist(had(of_debian), tmp_path, MODEL, cwd=shop) as one:
        one.open(shop / "colours.py")
        one.until(lambda: one.status() == READY, "a model", READY_TIMEOUT_S)
        before = type_colours(one)
        offered = ghost(one)
        one.type("<M-Right>")
        one.until(lambda: one.text() != before)
        word = one.text().removeprefix(before)
        assert offered.startswith(word) and 0 < len(word) < len(offered)
        assert ghost(one) == offered.removeprefix(word), "what is left stays to be seen"
        one.type("<Tab>")
        one.until(lambda: one.text() == before + offered)
        one.type("<Esc>u")
        one.until(lambda: one.text() == before + word)


@with_engine
def test_a_key_typed_into_ghost_text_does_not_double_it(engine_home, shop, tmp_path):
    """Neovim still shows the older offer then, and would insert all of it."""
    with typist(had(of_debian), tmp_path, MODEL, cwd=shop) as one:
        one.open(shop / "colours.py")
        one.until(lambda: one.status() == READY, "a model", READY_TIMEOUT_S)
        before = type_colours(one)
        offered = ghost(one)
        one.type(offered[0].replace(" ", "<Space>") + "<Tab>")
        one.until(lambda: one.text() == before + offered)


@with_engine
def test_who_typed_before_the_model_was_ready_needs_no_other_key(engine_home, shop, tmp_path):
    with typist(had(of_debian), tmp_path, MODEL, cwd=shop) as one:
        one.open(shop / "colours.py")
        before = type_colours(one)
        assert one.status() != READY, "typed too late to show anything"
        offered = ghost(one)
        one.type("<Tab>")
        one.until(lambda: one.text() == before + offered)


@with_engine
def test_paused_ghost_text_comes_back(engine_home, shop, tmp_path):
    with typist(had(of_debian), tmp_path, MODEL, cwd=shop) as one:
        one.open(shop / "colours.py")
        one.until(lambda: one.status() == READY, "a model", READY_TIMEOUT_S)
        one.nvim.command("Foreword pause python")
        assert one.status() == "foreword: paused for python"
        assert not one.lua("return vim.lsp.inline_completion.is_enabled({ bufnr = 0 })")
        one.nvim.command("Foreword resume python")
        type_colours(one)
        assert ghost(one)


@with_engine
def test_candidates_are_asked_for_and_walked_through(engine_home, shop, tmp_path):
    with typist(had(of_debian), tmp_path, MODEL, cwd=shop) as one:
        one.open(shop / "lists.py")
        one.until(lambda: one.status() == READY, "a model", READY_TIMEOUT_S)
        one.type('i"""Operations on lists."""<CR><CR>def ')
        before, first = one.text(), ghost(one)
        one.type("<M-]>")
        text, at, of = re.fullmatch(r"(?s)(.*) \((\d)/(\d)\)", ghost(one, first)).groups()
        assert of == "1" or text != first, "what is seen already is passed over"
        one.type("<M-[><M-]>")
        assert one.ghosts() == [f"{text} ({at}/{of})"], "there and back"
        one.type("<Tab>")
        one.until(lambda: one.text() == before + text)


@with_engine
def test_a_person_sees_ghost_text_on_the_screen_and_accepts_it(engine_home, shop, tmp_path):
    neovim = had(of_debian)
    if shutil.which("tmux") is None:
        pytest.skip("a real terminal takes tmux")
    init = init_of(tmp_path, MODEL)
    home = [f"{name}={value}" for name, value in home_of(tmp_path).items()]
    terminal = Terminal(tmp_path / "tmux")
    terminal.start(["env", *home, *neovim.command("-n", "-u", str(init), "colours.py")], shop)
    try:
        terminal.until(READY, READY_TIMEOUT_S)
        terminal.keys("i")
        for line in COLOURS.split("\n"):
            terminal.keys("-l", line)
            if line != "ORANGE =":
                terminal.keys("Enter")
        terminal.until("ORANGE = ", READY_TIMEOUT_S)
        (shown,) = [line.rstrip() for line in terminal.screen().split("\n") if line.startswith("ORANGE")]
        terminal.keys("Tab")
        terminal.until_column(len(shown))
        terminal.keys("Escape", ":write", "Enter")
        terminal.until("written")
        assert shown in (shop / "colours.py").read_text().split("\n")
        assert shown != "ORANGE ="
    finally:
        terminal.close()


def test_the_statusline_tells_that_ghost_text_is_waited_for(alone, shop):
    may_write = threading.Event()

    async def writes(exchange: Exchange) -> None:
        if not exchange.path.endswith("/completions"):
            await exchange.answer(404, b"{}")
            return
        while not may_write.is_set():
            await asyncio.sleep(0.01)
        await exchange.send(EVENTS)
        for text, end in (("= 'red'", None), ("", "stop")):
            await exchange.event({"choices": [{"index": 0, "text": text, "finish_reason": end}]})
        await exchange.send(b"data: [DONE]\n\n")

    with beside(served(writes)) as (url, _):
        engine = {"kind": "openai", "url": url, "model": "qwen2.5-coder-0.5b"}
        settings = {"settings": {"engine": engine, "index": False}}
        with typist(had(of_debian), alone, settings, cwd=shop) as one:
            one.open(shop / "colours.py")
            one.until(lambda: one.status() == "foreword: qwen2.5-coder-0.5b", "an engine")
            one.type("iCOLOUR ")
            one.until(lambda: one.status() == "foreword: qwen2.5-coder-0.5b …", "a sign of the request")
            may_write.set()
            assert ghost(one) == "= 'red'"
            one.until(lambda: one.status() == "foreword: qwen2.5-coder-0.5b", "the sign to go")


# ---------------------------------------------------------------- edits

TWO_FILES = write_all(
    [
        Replace("shop/pricing.py", Search("    discount = 0.2\n"), "    discount = 0.3\n"),
        Create("shop/notes.py", "ABOUT = 'discounts'\n"),
    ]
)
ONE_FILE = write_all([Replace("shop/pricing.py", Search("    discount = 0.2\n"), "    discount = 0.3\n")])


@contextmanager
def editing(neovim: Neovim, folder: Path, shop: Path, answer: str):
    """Neovim with a model that writes this edit, behind a real HTTP server."""

    async def writes(exchange: Exchange) -> None:
        if not exchange.path.endswith("/chat/completions"):
            await exchange.answer(404, b"{}")
            return
        await exchange.send(EVENTS)
        for delta, end in (({"content": answer}, None), ({}, "stop")):
            await exchange.event({"choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        await exchange.send(b"data: [DONE]\n\n")

    with beside(served(writes)) as (url, _):
        engine = {"kind": "openai", "api": "chat", "url": url, "model": "big-30b"}
        with typist(neovim, folder, {"settings": {"engine": engine, "index": False}}, cwd=shop) as one:
            one.open(shop / "shop" / "pricing.py")
            one.until(lambda: one.status() == "foreword: big-30b", "an engine")
            yield one


@contextmanager
def beside(context):
    """An asynchronous context in a loop of its own, while this thread goes on."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result()
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_an_edit_of_the_open_file_is_applied_and_undone_at_once(neovim, alone, shop):
    with editing(neovim, alone, shop, ONE_FILE) as one:
        before = one.text()
        one.nvim.command("Foreword edit raise the discount")
        one.until(lambda: one.text() == before.replace("0.2", "0.3"))
        one.until(lambda: "changed 1 file" in " ".join(one.told()))
        one.type("u")
        assert one.text() == before


def reviewed(one: Typist) -> list[str]:
    one.nvim.command("Foreword edit raise the discount and note it")
    one.until(lambda: "A applies what is taken" in one.text(), "a review")
    return one.text().split("\n")


def test_an_edit_of_two_files_is_reviewed_and_taken_in_part(neovim, alone, shop):
    with editing(neovim, alone, shop, TWO_FILES) as one:
        before = one.text()
        lines = reviewed(one)
        assert lines[3:] == ["[x] change  shop/pricing.py", "[x] create  shop/notes.py"]
        shown = one.lua(
            "return vim.tbl_map(function(win) return vim.api.nvim_buf_get_lines("
            "vim.api.nvim_win_get_buf(win), 0, -1, false) end, vim.api.nvim_tabpage_list_wins(0))"
        )
        assert [before.replace("0.2", "0.3").split("\n") in shown, before.split("\n") in shown] == [
            True,
            True,
        ]
        one.type("j<Space>")
        one.until(lambda: "[ ] create  shop/notes.py" in one.text())
        one.type("A")
        one.until(lambda: one.text() == before.replace("0.2", "0.3"))
        assert not (shop / "shop" / "notes.py").exists()


def test_files_of_a_plan_that_failed_stand_below_the_others(neovim, alone, shop):
    with editing(neovim, alone, shop, TWO_FILES) as one:
        paths = {"shop/pricing.py": "done", "shop/notes.py": "done", "shop/stock.py": "failed"}
        files = [
            {
                "verb": "change",
                "path": path,
                "uri": (shop / path).as_uri(),
                "state": state,
                "reason": "no block",
            }
            for path, state in paths.items()
        ]
        one.lua(
            "require('foreword.plan').take(nil, vim.json.decode(...))",
            json.dumps({"edit": "x", "files": files}),
        )
        one.until(lambda: "the plan has 3 files: shop/pricing.py" in " ".join(one.told()), "the plan")
        assert reviewed(one)[3:] == [
            "[x] change  shop/pricing.py",
            "[x] create  shop/notes.py",
            "    shop/stock.py, failed: no block",
        ]
        one.type("Q")


def test_an_edit_of_two_files_is_taken_whole(neovim, alone, shop):
    with editing(neovim, alone, shop, TWO_FILES) as one:
        before = one.text()
        reviewed(one)
        one.type("A")
        one.until(lambda: "changed 2 files" in " ".join(one.told()), "both files")
        assert one.text() == before.replace("0.2", "0.3")
        assert (shop / "shop" / "notes.py").read_text() == "ABOUT = 'discounts'\n", "a new file is saved"


@pytest.mark.parametrize("keys", ["Q", ":tabclose<CR>"])
def test_an_edit_that_is_left_changes_nothing_anywhere(neovim, alone, shop, keys):
    with editing(neovim, alone, shop, TWO_FILES) as one:
        before = one.text()
        reviewed(one)
        one.type(keys)
        one.until(lambda: one.text() == before)
        one.until(
            lambda: "declined" in one.nvim.command_output("messages") + " ".join(one.told()), "an answer"
        )
        assert not (shop / "shop" / "notes.py").exists()
        assert one.text() == before
