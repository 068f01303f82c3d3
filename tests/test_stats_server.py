"""What became of suggestions, through a real server and the command that shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from misbehaving import Exchange, served
from raw_client import RawClient, server
from test_server_protocol import engine_ready

ACCEPTED = "foreword.accepted"


async def writes(exchange: Exchange) -> None:
    await exchange.completion("foo(alpha)\n")


def options(url: str, **more: Any) -> dict[str, Any]:
    return {"index": False, "engine": {"kind": "openai", "url": url, "model": "m"}, **more}


def stats(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("foreword")), "stats", *arguments],
        env={**os.environ, "XDG_STATE_HOME": str(home / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def accept(client: RawClient, uri: str) -> dict[str, Any]:
    """Asks for a suggestion and takes it as Neovim does: the text, then the item's command."""
    client.open(uri, "x = \n")
    (item,) = (await client.inline(uri, 0, 4))["items"]
    client.change(uri, 2, {"range": item["range"], "text": item["insertText"]})
    command = item["command"]
    await client.result(
        "workspace/executeCommand", {"command": command["command"], "arguments": command["arguments"]}
    )
    return item


async def test_through_a_server_and_shown(tmp_path: Path) -> None:
    async with served(writes) as (url, _), server(tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as client:
        told = await client.initialize(options(url))
        assert ACCEPTED in told["capabilities"]["executeCommandProvider"]["commands"]
        await engine_ready(client)
        item = await accept(client, "untitled:1")
        assert item["command"]["command"] == ACCEPTED and item["insertText"] == "foo(alpha)"
        client.open("untitled:2", "y = \n", "go")
        await client.inline("untitled:2", 0, 4)
        about = (await client.status())["stats"]
        assert (about["state"], about["followed"], about["lost"]) == ("on", 2, 0)
        assert await client.leave() == 0
    ended = stats(tmp_path, "--json")
    assert ended.returncode == 0, ended.stderr
    total = json.loads(ended.stdout)["total"]
    assert (total["shown"], total["accepted"], total["rejected"], total["told"]) == (2, 1, 1, 1)
    assert (total["kept_whole"], total["looked_at"], total["supposed_shown"]) == (1, 1, 2)
    table = stats(tmp_path).stdout
    assert "python" in table and "go" in table and "50% of 2" in table and "do not tell" in table
    assert "alpha" not in (tmp_path / "state" / "foreword" / "stats.sqlite3").read_bytes().decode("latin-1")
    assert "2 suggestions" in stats(tmp_path, "--forget").stdout
    for arguments in ((), ("--json",)):
        empty = stats(tmp_path, *arguments)
        assert (empty.returncode, empty.stdout) == (3, "") and "no suggestion" in empty.stderr


async def test_a_client_that_tells_what_it_shows(tmp_path: Path) -> None:
    async with served(writes) as (url, _), server(tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as client:
        await client.initialize(options(url), experimental={"foreword": {"shown": True}})
        await engine_ready(client)
        for number in range(3):
            uri = f"untitled:{number}"
            client.open(uri, "x = \n")
            (item,) = (await client.inline(uri, 0, 4))["items"]
            if number == 0:
                client.notify("foreword/shown", {"id": item["command"]["arguments"][0]})
        client.notify("foreword/shown", {"id": 7})
        client.notify("foreword/shown", {"id": "nobody's"})
        client.notify("foreword/unheard", {})
        asked = {"textDocument": {"uri": "untitled:0"}, "position": {"line": 0, "character": 4}}
        assert (await client.result("foreword/completion", asked))["id"]
        assert "foreword/shown" in client.logged()
        assert await client.leave() == 0
    total = json.loads(stats(tmp_path, "--json").stdout)["total"]
    assert (total["sent"], total["shown"], total["supposed_shown"], total["rejected"]) == (3, 1, 0, 1)


async def test_switched_off_nothing_is_counted_or_asked_of_the_client(tmp_path: Path) -> None:
    async with served(writes) as (url, _), server(tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as client:
        await client.initialize(options(url, stats=False))
        await engine_ready(client)
        client.open("untitled:1", "x = \n")
        (item,) = (await client.inline("untitled:1", 0, 4))["items"]
        assert "command" not in item
        assert (await client.status())["stats"]["state"] == "off"
        assert await client.leave() == 0
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("arguments", [[], [1], ["a", "sentence"], ["a", "word", 3], [{"id": "a"}], None])
async def test_a_wrong_command_is_answered(tmp_path: Path, arguments: Any) -> None:
    async with server(tmp_path) as client:
        await client.initialize()
        said = await client.answer("workspace/executeCommand", {"command": ACCEPTED, "arguments": arguments})
        assert said["error"]["code"] == -32602 and "id" in said["error"]["message"]


async def test_a_folder_that_cannot_be_written_costs_no_completion(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    async with served(writes) as (url, _), server(tmp_path, XDG_STATE_HOME=str(tmp_path / "state")) as client:
        await client.initialize(options(url))
        await engine_ready(client)
        await accept(client, "untitled:1")
        await accept(client, "untitled:2")
        assert await client.leave() == 0
    refused = stats(tmp_path, "--forget")
    assert refused.returncode in (0, 1) and "Traceback" not in refused.stderr
