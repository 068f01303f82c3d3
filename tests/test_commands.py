"""The `foreword` command where it needs no engine: places in files, one sentence for each error, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from misbehaving import Exchange, served

from lsp.commands.cursor import snapshot_of
from lsp.commands.engine import _shown
from lsp.terminal import parse_place, root_of, size

FOREWORD = Path(sys.executable).with_name("foreword")
TIMEOUT_S = 60


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_RUNTIME_DIR": str(runtime),
        "FOREWORD_EMBEDDER": "none",
    }


def foreword(home: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOREWORD, *arguments], env=home, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize(
    ("data", "where", "before"),
    [
        (b"a = 1\nb = 2\n", "2:3", "a = 1\nb "),
        (b"a = 1\nb = 2\n", "3:1", "a = 1\nb = 2\n"),
        (b"a = 1\r\nb = 2", "2:6", "a = 1\r\nb = 2"),
        (b"a\x0cb\nc", "2:2", "a\x0cb\nc"),  # a form feed ends no line
        ("a\u2028b\nc = '😀'".encode(), "2:7", "a\u2028b\nc = '😀"),
        (b"\xef\xbb\xbfa = 1", "1:2", "a"),  # nor does a byte order mark take a column
        (b"", "1:1", ""),
    ],
)
def test_places(tmp_path: Path, data: bytes, where: str, before: str) -> None:
    (tmp_path / "a.py").write_bytes(data)
    snapshot, offset = snapshot_of(parse_place(f"{tmp_path / 'a.py'}:{where}"))
    assert snapshot.text[:offset] == before


@pytest.mark.parametrize("command", ["complete", "context"])
@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("4:1", "it has 3 lines"),
        ("1:7", "the last column of line 1 is 6"),
        ("3:2", "last column of line 3 is 1"),
    ],
)
def test_places_that_are_not_there(
    tmp_path: Path, home: dict[str, str], command: str, where: str, said: str
) -> None:
    (tmp_path / "a.py").write_bytes(b"a = 1\r\nb = 2\r\n")
    ended = foreword(home, command, f"{tmp_path / 'a.py'}:{where}")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("engine", "start", "--model", "bogus"), "bogus"),
        (("engine", "stop", "--model", "bogus"), "bogus"),
        (("complete", "FOLDER/a.py:1:1", "--model", "bogus"), "bogus"),
        (("complete", "FOLDER/none.py:1:1"), "does not exist"),
        (("search", " "), "empty query"),
    ],
)
def test_errors_are_one_sentence(
    tmp_path: Path, home: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "a.py").write_text("a = 1\n")
    told = [each.replace("FOLDER", str(tmp_path)) for each in arguments]
    ended = foreword(home, *told)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", [("--version",), ("doctor", "--json"), ("doctor",)])
def test_output_that_cannot_be_written(home: dict[str, str], command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [FOREWORD, *command],
            env=home,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == "foreword: the output could not be written: No space left on device\n"


def test_a_pipe_that_nobody_reads(home: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [FOREWORD, "doctor", "--json"],
        env=home,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize("command", [("engine", "status"), ("engine", "stop"), ("engine", "start")])
def test_a_runtime_folder_that_is_open_to_others(home: dict[str, str], command: tuple[str, ...]) -> None:
    folder = Path(home["XDG_RUNTIME_DIR"]) / "foreword"
    folder.mkdir()
    folder.chmod(0o755)
    ended = foreword(home, *command)
    assert ended.returncode == 1
    assert "can be entered by others" in ended.stderr
    assert "Traceback" not in ended.stderr
    findings = json.loads(foreword(home, "doctor", "--json").stdout)
    assert [each["level"] for each in findings if each["check"] == "runtime folder"] == ["error"]


def test_doctor_says_where_no_index_can_be(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "file").write_text("")
    ended = foreword({**home, "XDG_CACHE_HOME": str(tmp_path / "file")}, "doctor", "--json")
    found = [each for each in json.loads(ended.stdout) if each["check"] == "index"]
    assert [each["level"] for each in found] == ["error"] and str(tmp_path / "file") in found[0]["found"]
    assert "XDG_CACHE_HOME" in found[0]["remedy"] and ended.returncode == 1


async def test_an_interrupt_ends_the_generation(tmp_path: Path, home: dict[str, str]) -> None:
    """Ctrl-C at `foreword complete`: the server sees its connection closed, and the status is a shell's."""
    hung_up = asyncio.Event()

    async def never(exchange: Exchange) -> None:
        await exchange.until_closed()
        hung_up.set()

    (tmp_path / "a.py").write_text("a = 1\n")
    async with served(never) as (url, exchanges):
        process = await asyncio.create_subprocess_exec(
            *(FOREWORD, "complete", f"{tmp_path / 'a.py'}:1:5", "--no-context", "--url", url, "--model", "m"),
            env=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(TIMEOUT_S):
            while not exchanges:
                await asyncio.sleep(0.05)
            os.kill(process.pid, signal.SIGINT)
            out, err = await process.communicate()
            await hung_up.wait()
    assert process.returncode == 130
    assert out == b""
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("rss_bytes", 1_600_000_000, "1.5 GiB"),
        ("cache_hit_rate", 0.9512, "95.1%"),
        ("kv_total_tokens", 24_576, "24,576"),
        ("pid", 12345, "12345"),
        ("running", 0, "0"),
        ("uptime_s", 3_725.2, "1:02:05"),
        ("limits", ["a"], '["a"]'),
        ("draining", False, "no"),
    ],
)
def test_what_a_host_tells_is_shown_for_people(name: str, value: object, shown: str) -> None:
    assert _shown(name, value) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB")])
def test_sizes(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("marks", "file", "root"),
    [
        (["repo/.git/HEAD"], "repo/a/b.py", "repo"),
        (["repo/.git/HEAD", "repo/web/package.json"], "repo/web/src/b.ts", "repo"),
        (["web/package.json"], "web/src/b.ts", "web"),
        ([], "somewhere/b.py", "somewhere"),
    ],
)
def test_root_of_a_file(tmp_path: Path, marks: list[str], file: str, root: str) -> None:
    for mark in marks:
        (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / mark).touch()
    assert root_of(tmp_path / file) == tmp_path / root
