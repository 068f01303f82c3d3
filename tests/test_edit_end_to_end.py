"""A diagnostic of a real linter, mended by a real model in a real server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from lsprotocol import types
from test_edit_server import EditingEditor, titles

LOAD = "import json\nimport os\n\n\ndef load(path):\n    with open(path) as file:\n        return json.load(file)\n"


def ruff(text: str) -> list[types.Diagnostic]:
    """What ruff's server tells of a file, asked of its command."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "json"]
    said = subprocess.run(
        [*command, "--stdin-filename", "load.py", "-"], input=text, text=True, capture_output=True
    )
    return [
        types.Diagnostic(
            types.Range(
                types.Position(each["location"]["row"] - 1, each["location"]["column"] - 1),
                types.Position(each["end_location"]["row"] - 1, each["end_location"]["column"] - 1),
            ),
            each["message"],
            code=each["code"],
            source="ruff",
        )
        for each in json.loads(said.stdout)
    ]


@pytest.mark.engine
async def test_a_diagnostic_of_ruff(engine_host, tmp_path):
    """The smallest model there is: under the grammar its answer is one block at the line that ruff names."""
    file = tmp_path / "load.py"
    file.write_text(LOAD)
    (unused,) = ruff(LOAD)
    editor = EditingEditor()
    engine = {"kind": "sglang", "url": engine_host.url, "key": engine_host.key, "model": "smollm2-135m"}
    await editor.begin(tmp_path, {"engine": engine, "index": False})
    try:
        await editor.until(lambda status: status["engine"]["state"] == "ready")
        uri = editor.open(file)
        (fix,) = await editor.actions(uri, unused.range.start.line, [unused], only=["quickfix"])
        assert titles([fix]) == ["Foreword: Fix: `os` imported but unused"]
        done = await editor.run(fix)
        assert [each["state"] for each in editor.notes if each["state"] != "growing"] == ["begun", "finished"]
        lines = editor.texts[uri].splitlines()
        assert lines[0] == "import json" and "def load(path):" in lines, "no other line is touched"
        if done["applied"]:
            assert done["claim"] == "parses" and compile(editor.texts[uri], "load.py", "exec")
            assert unused.message not in [each.message for each in ruff(editor.texts[uri])]
        else:
            assert done["reason"] and editor.texts[uri] == LOAD
    finally:
        await editor.client.shutdown_session()
        await editor.client.stop()
