"""Did it help, in a real Neovim: ruff's server beside Foreword's, the claim that a person reads, and the repair."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from neovim_editor import Typist, typist
from neovims import Neovim
from test_edit_helped_server import FIX, LOAD, MENDED, WORSE
from test_neovim import EVENTS, Exchange, alone, beside, neovim, served, shop

__all__ = ["alone", "neovim", "shop"]

RUFF = f"""
vim.lsp.config('ruff', {{
  cmd = {{ {json.dumps(sys.executable)}, '-m', 'ruff', 'server', '--isolated' }},
  filetypes = {{ 'python' }}, root_markers = {{ '.git' }},
}})
vim.lsp.enable('ruff')
"""
FIRST = """
vim.lsp.buf.code_action({ apply = true, filter = function(action)
  return vim.startswith(action.title, 'Foreword: Fix: ')
end })
"""
PATIENCE_S = 120.0
"""Three servers, a model and an editor start here, on a machine that may be busy."""


@contextmanager
def beside_ruff(neovim: Neovim, folder: Path, shop: Path, answers: list[str], **edit):
    """Neovim with both servers in a file that ruff has something to say of; a model that answers so, one by one."""
    left = list(answers)
    (shop / "load.py").write_text(LOAD)

    async def writes(exchange: Exchange) -> None:
        if not exchange.path.endswith("/chat/completions"):
            await exchange.answer(404, b"{}")
            return
        await exchange.send(EVENTS)
        for delta, end in (({"content": left.pop(0)}, None), ({}, "stop")):
            await exchange.event({"choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        await exchange.send(b"data: [DONE]\n\n")

    with beside(served(writes)) as (url, _):
        engine = {"kind": "openai", "api": "chat", "url": url, "model": "big-30b"}
        settings = {"settings": {"engine": engine, "index": False, "edit": edit}}
        with typist(neovim, folder, settings, before=RUFF, cwd=shop) as one:
            one.open(shop / "load.py")
            one.until(lambda: one.status() == "foreword: big-30b", "an engine", PATIENCE_S)
            one.until(lambda: one.lua("return #vim.diagnostic.get(0)") == 1, "ruff's diagnostic", PATIENCE_S)
            one.nvim.command("2")
            yield one


def says(one: Typist, *words: str) -> None:
    one.until(lambda: any(all(word in said for word in words) for said in one.told()), str(words), PATIENCE_S)


def test_a_fix_that_is_one(neovim, alone, shop):
    with beside_ruff(neovim, alone, shop, [FIX]) as one:
        one.lua(FIRST)
        one.until(lambda: one.text() + "\n" == MENDED, "the edit", PATIENCE_S)
        says(one, "foreword: fixed")


def test_a_fix_that_breaks_something_else_is_repaired_once(neovim, alone, shop):
    with beside_ruff(neovim, alone, shop, [WORSE, FIX]) as one:
        one.lua(FIRST)
        says(one, "new: load.py:5", "json", ":Foreword repair")
        one.nvim.command("Foreword repair")
        one.until(lambda: one.text() + "\n" == MENDED, "the repair", PATIENCE_S)
        says(one, "foreword: fixed")
        one.nvim.command("Foreword repair")
        says(one, "nothing to repair")


@pytest.mark.parametrize("status", [0, 1])
def test_a_check_runs_when_the_file_is_saved(neovim, alone, shop, status):
    check = [sys.executable, "-c", f"import sys; print(len(open('load.py').read())); sys.exit({status})"]
    with beside_ruff(neovim, alone, shop, [FIX], check=check) as one:
        one.lua(FIRST)
        says(one, "fixed; the check waits")
        one.nvim.command("write")
        says(one, *(("check failed: exit status 1", ":Foreword repair") if status else ("check passed",)))
