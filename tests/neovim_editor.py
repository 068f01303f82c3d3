"""A real Neovim with the plug-in, driven over its own interface or on the screen of a terminal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pynvim
from editor import FOREWORD
from neovims import Neovim

PLUGIN = Path(__file__).resolve().parents[1] / "editors" / "neovim"
PATIENCE_S = 20.0
"""A busy machine may take seconds for what takes milliseconds."""

GHOST = """
local found = {}
for _, space in ipairs({ 'nvim.lsp.inline_completion', 'foreword.ghost' }) do
  local id = vim.api.nvim_create_namespace(space)
  for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, id, 0, -1, { details = true })) do
    local lines = {}
    for _, chunks in ipairs({ mark[4].virt_text, unpack(mark[4].virt_lines or {}) }) do
      table.insert(lines, vim.iter(chunks):map(function(chunk) return chunk[1] end):join(''))
    end
    table.insert(found, table.concat(lines, '\\n'))
  end
end
return found
"""
"""Every ghost text in the buffer, whoever draws it."""

TOLD = """
TOLD, PROGRESS = {}, {}
vim.notify = function(message, level) table.insert(TOLD, { message, level or 0 }) end
vim.api.nvim_create_autocmd('LspProgress', { callback = function(event)
  table.insert(PROGRESS, event.data.params.value)
end })
"""
"""Keeps what a person would have been told."""


class Typist:
    """One Neovim, and what a person does and sees in it."""

    def __init__(self, nvim: pynvim.Nvim) -> None:
        self.nvim = nvim

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.nvim.exec_lua(code, *arguments)

    def open(self, file: Path) -> None:
        self.nvim.command(f"edit {self.nvim.funcs.fnameescape(str(file))}")

    def type(self, keys: str) -> None:
        self.nvim.input(keys)
        self.nvim.api.get_mode()  # answered only when the keys have been taken

    def mode(self) -> str:
        return self.nvim.api.get_mode()["mode"]

    def text(self) -> str:
        return "\n".join(self.nvim.current.buffer[:])

    def ghosts(self) -> list[str]:
        return self.lua(GHOST)

    def told(self) -> list[str]:
        return [message for message, _ in self.lua("return TOLD")]

    def until(self, condition: Callable[[], Any], what: str = "", timeout_s: float = PATIENCE_S) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            now = f"{what}; told {self.told()}; status {self.status()}; buffer:\n{self.text()}"
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {now}"
            time.sleep(0.05)
        return found

    def status(self) -> str:
        return self.lua("return require('foreword').status()")

    def health(self) -> str:
        self.nvim.command("checkhealth foreword")
        text = self.until(lambda: "foreword: editor" in self.text() and self.text(), "checkhealth")
        self.nvim.command("bwipeout")
        return text


def init_of(folder: Path, options: dict[str, Any] | None, before: str = "") -> Path:
    """An init.lua as a person would write it."""
    given = json.dumps({"cmd": [FOREWORD, "lsp"], **(options or {})})
    init = folder / "init.lua"
    init.write_text(
        f"{before}\nvim.opt.rtp:prepend({json.dumps(str(PLUGIN))})\nvim.opt.swapfile = false\n"
        "vim.opt.statusline = \"%f%=%{v:lua.require'foreword'.status()}\"\nvim.opt.laststatus = 2\n"
        f"require('foreword').setup(vim.json.decode({json.dumps(given)}))\n"
    )
    return init


def home_of(folder: Path) -> dict[str, str]:
    """Neovim's folders below one of the test's."""
    names = {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state"}
    return {name: str(folder / below) for name, below in names.items()}


@contextmanager
def typist(
    neovim: Neovim,
    folder: Path,
    options: dict[str, Any] | None = None,
    *,
    before: str = "",
    cwd: Path | None = None,
) -> Iterator[Typist]:
    """Neovim as it is just after its start."""
    init = init_of(folder, options, TOLD + before)
    settings = [f"{name}={value}" for name, value in home_of(folder).items()]
    command = neovim.command("--embed", "--headless", "-n", "-u", str(init))
    here = Path.cwd()
    os.chdir(cwd or folder)
    try:
        nvim = pynvim.attach("child", argv=["env", *settings, *command])
    finally:
        os.chdir(here)
    try:
        nvim.ui_attach(100, 30)
        yield Typist(nvim)
    finally:
        nvim.close()


class Terminal:
    """A screen of tmux, as a person sees it."""

    def __init__(self, socket: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]

    def start(self, command: list[str], cwd: Path) -> None:
        size = ["-x", "110", "-y", "32"]
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, "-c", str(cwd), shlex.join(command)], check=True
        )

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def screen(self) -> str:
        return subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True
        ).stdout

    def until(self, text: str, timeout_s: float = PATIENCE_S) -> str:
        """The screen, once this is to be seen on it."""
        return self._until(lambda screen: text in screen, repr(text), timeout_s)

    def until_column(self, column: int) -> None:
        """Until the cursor stands there, counted from 0."""
        ask = [*self._tmux, "display-message", "-p", "#{cursor_x}"]

        def there(_: str) -> bool:
            told = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
            return int(told) == column

        self._until(there, f"cursor in column {column}", PATIENCE_S)

    def _until(self, condition: Callable[[str], bool], what: str, timeout_s: float) -> str:
        deadline = time.monotonic() + timeout_s
        while not condition(screen := self.screen()):
            assert time.monotonic() < deadline, f"no {what} within {timeout_s} s on:\n{screen}"
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
