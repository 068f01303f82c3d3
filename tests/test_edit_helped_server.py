"""Did it help? The real server of Foreword beside the real server of ruff, as an editor has both.

What the model writes is scripted, by a real HTTP server."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from editor import plain
from lsprotocol import types
from pygls.protocol import default_converter as converter
from raw_client import RawClient
from test_edit_server import EditingEditor, editing, titles

from engine.editing.blocks import Lines, Replace, Search, write_all

LOAD = "import json\nimport os\n\n\ndef load(path):\n    with open(path) as file:\n        return json.load(file)\n"
MENDED = LOAD.replace("import os\n", "")
FIX = write_all([Replace("load.py", Lines(2, 2), "")])
WORSE = write_all([Replace("load.py", Search("import json\nimport os\n"), "")])
ELSEWHERE = write_all([Replace("load.py", Search("def load(path):\n"), "def load(path: str):\n")])
PATIENCE_S = 30.0


class BesideRuff(EditingEditor):
    """An editor with a second server, whose diagnostics it tells Foreword."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"ours": {"edit": True, "helped": True}} | options)
        self.helped: list[Any] = []
        self.published: dict[str, list[Any]] = {}
        self.tells = True

    def listen(self) -> None:
        super().listen()

        @self.client.feature("foreword/helped")
        def helped(params: Any) -> None:
            self.helped.append(plain(params))

    async def begin(self, root: Path, options: dict[str, Any]) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ruff", "server", "--isolated"),
            cwd=root,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.ruff = RawClient(process)
        await self.ruff.initialize({}, root)
        self._hearing = asyncio.create_task(self._hear_ruff())
        await super().begin(root, options)

    async def _hear_ruff(self) -> None:
        heard = 0

        def news() -> list[Any]:
            return self.ruff.notifications[heard:]

        while True:
            for each in await self.ruff.until(news, 600):
                heard += 1
                if each["method"] == "textDocument/publishDiagnostics":
                    told = each["params"]
                    self.published[told["uri"]] = told["diagnostics"]
                    self.tell(told["uri"], told["version"])

    async def leave(self) -> None:
        self._hearing.cancel()
        self.ruff._reading.cancel()
        self.ruff.process.kill()
        await self.ruff.process.wait()

    def tell(self, uri: str, version: int | None) -> None:
        if self.tells:
            told = {"uri": uri, "version": version, "diagnostics": self.published[uri], "awaited": []}
            self.client.protocol.notify("foreword/diagnostics", told)

    async def diagnosed(self, file: Path) -> str:
        """Opens the file in both; returns once ruff has told."""
        uri = self.open(file)
        self.ruff.open(uri, file.read_text())
        await self.once(lambda: uri in self.published)
        return uri

    def replace(self, uri: str, text: str) -> None:
        super().replace(uri, text)
        self.ruff.change(uri, self.versions[uri], {"text": text})

    async def save(self, uri: str, file: Path) -> None:
        file.write_text(self.texts[uri])
        document = types.TextDocumentIdentifier(uri)
        self.client.text_document_did_save(types.DidSaveTextDocumentParams(document))

    async def once(self, condition) -> Any:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):
                await asyncio.sleep(0.02)
        return found

    async def hear(self, edit: str, condition=lambda note: True) -> Any:
        """The first that is told of this edit and is so."""
        return await self.once(
            lambda: next((each for each in self.helped if each["edit"] == edit and condition(each)), None)
        )


@asynccontextmanager
async def beside_ruff(
    root: Path, answer: str | list[str], settings: dict[str, Any] | None = None, **options: Any
):
    (root / "load.py").write_text(LOAD)
    async with editing(root, answer, made=BesideRuff, settings=settings, **options) as one:
        try:
            yield one, await one.diagnosed(root / "load.py")
        finally:
            await one.leave()


async def fixed(editor: BesideRuff, uri: str) -> Any:
    """What comes of the offer to fix what ruff says of line 2."""
    (unused,) = editor.published[uri]
    diagnostic = converter().structure(unused, types.Diagnostic)
    (fix,) = await editor.actions(uri, 1, [diagnostic], only=["quickfix"])
    assert titles([fix]) == ["Foreword: Fix: `os` imported but unused"]
    done = await editor.run(fix)
    assert done["applied"] and done["claim"] == "parses", "nobody has looked yet"
    return done


async def test_fixed(tmp_path):
    async with beside_ruff(tmp_path, FIX) as (editor, uri):
        done = await fixed(editor, uri)
        told = await editor.hear(done["edit"])
        assert editor.texts[uri] == MENDED and editor.published[uri] == []
        assert told["claim"] == "fixed" and told["fixed"] and not told["repair"]
        assert told["left"] == [] and told["new"] == [] and told["check"] is None


async def test_what_is_gone_for_something_else_is_not_fixed_and_can_be_repaired_once(tmp_path):
    async with beside_ruff(tmp_path, [WORSE, FIX, FIX]) as (editor, uri):
        done = await fixed(editor, uri)
        told = await editor.hear(done["edit"])
        assert not told["fixed"] and told["repair"] and told["left"] == []
        assert [each["code"] for each in told["new"]] == ["F821"]
        assert told["claim"].startswith("parses; new: load.py:5: Undefined name `json`")
        again = await editor.command("foreword.repair", {"edit": done["edit"]})
        assert again["applied"] and again["edit"] != done["edit"] and editor.texts[uri] == MENDED
        last = await editor.hear(again["edit"])
        assert last["claim"] == "fixed" and not last["repair"]
        first, second = (each["messages"] for each in editor.asked)
        assert second[: len(first)] == first and second[len(first)]["content"] == WORSE
        assert "Undefined name `json`" in second[-1]["content"]
        for edit in (done["edit"], again["edit"], "none"):
            refused = await editor.command("foreword.repair", {"edit": edit})
            assert not refused["applied"] and "nothing to repair" in refused["reason"]
        assert len(editor.asked) == 2, "one turn"


async def test_what_is_still_there(tmp_path):
    async with beside_ruff(tmp_path, ELSEWHERE) as (editor, uri):
        told = await editor.hear((await fixed(editor, uri))["edit"])
        assert not told["fixed"] and told["repair"] and [each["code"] for each in told["left"]] == ["F401"]
        assert "still there" in told["claim"]


async def test_nothing_is_claimed_where_diagnostics_do_not_come(tmp_path):
    async with beside_ruff(tmp_path, FIX) as (editor, uri):
        editor.tells = False
        told = await editor.hear((await fixed(editor, uri))["edit"])
        assert told["claim"] == "parses" and not told["fixed"] and "has not told" in told["reason"]


async def test_a_check_runs_when_the_files_are_saved(tmp_path):
    code = "import sys; text = open('load.py').read(); print('seen', 'os' in text); sys.exit('os' in text)"
    check = [sys.executable, "-c", code]
    async with beside_ruff(tmp_path, [ELSEWHERE, FIX], {"edit": {"check": check}}) as (editor, uri):
        done = await fixed(editor, uri)
        waiting = await editor.hear(done["edit"], lambda note: note["check"])
        assert waiting["check"]["state"] == "waiting" and "check" not in waiting["claim"]
        await editor.save(uri, tmp_path / "load.py")
        told = await editor.hear(
            done["edit"], lambda note: note["check"] and note["check"]["state"] == "failed"
        )
        assert told["check"]["tail"] == "seen True" and told["repair"]
        assert told["claim"].endswith("check failed: exit status 1")
        again = await editor.command("foreword.repair", {"edit": done["edit"]})
        assert again["applied"] and editor.texts[uri] == MENDED
        assert "seen True" in editor.asked[-1]["messages"][-1]["content"]
        await editor.save(uri, tmp_path / "load.py")
        told = await editor.hear(
            again["edit"], lambda note: note["check"] and note["check"]["state"] == "passed"
        )
        assert told["claim"] == "fixed; check passed"


async def test_an_edit_that_is_taken_back_is_not_checked(tmp_path):
    check = [sys.executable, "-c", "open('ran', 'w')"]
    async with beside_ruff(tmp_path, FIX, {"edit": {"check": check}}) as (editor, uri):
        done = await fixed(editor, uri)
        await editor.hear(done["edit"], lambda note: note["check"])
        editor.texts[uri] = LOAD
        editor.replace(uri, LOAD)
        await editor.save(uri, tmp_path / "load.py")
        told = await editor.hear(
            done["edit"], lambda note: note["check"] and note["check"]["state"] == "none"
        )
        assert "taken back" in told["check"]["told"] and not (tmp_path / "ran").exists()


async def test_a_folders_configuration_runs_nothing(tmp_path):
    """As VS Code and others send it: what `.vscode/settings.json` of the folder says is in it."""
    async with beside_ruff(tmp_path, FIX) as (editor, uri):
        section = {"edit": {"check": [sys.executable, "-c", "open('ran', 'w')"]}}
        params = types.DidChangeConfigurationParams(settings={"foreword": section})
        editor.client.workspace_did_change_configuration(params)
        complaints = (await editor.until(lambda status: status["complaints"], PATIENCE_S))["complaints"]
        assert "edit.check is ignored" in complaints[0]
        done = await fixed(editor, uri)
        await editor.save(uri, tmp_path / "load.py")
        told = await editor.hear(done["edit"])
        assert told["check"] is None and not (tmp_path / "ran").exists()


async def test_what_only_the_client_tells_is_offered_to_be_fixed(tmp_path):
    """Neovim names to a server no other server's diagnostics when it asks for actions."""
    async with beside_ruff(tmp_path, FIX) as (editor, uri):
        offered = titles(await editor.actions(uri, 1, only=["quickfix"]))
        assert offered == ["Foreword: Fix: `os` imported but unused"]
        assert await editor.actions(uri, 0, only=["quickfix"]) == []
        editor.tells = False
        editor.replace(uri, "\n" + LOAD)
        assert await editor.actions(uri, 1, only=["quickfix"]) == [], "its line is another by now"
