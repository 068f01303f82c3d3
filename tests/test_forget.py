"""`foreword index --forget`: what is stored of a root goes, what others share stays, and an open one is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer import launch, paths
from indexer.client import IndexClient, IndexServiceError
from indexer.embedding.weights import FINGERPRINT
from indexer.store import schema

FOREWORD = str(Path(sys.executable).with_name("foreword"))
SHARED = "def in_both():\n    return 'the same content'\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    monkeypatch.setenv("FOREWORD_SERVICE_IDLE_S", "0.1")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared.py").write_text(SHARED)
        (tmp_path / name / "own.py").write_text(f"def only_in_{name}():\n    return '{name}'\n")
    yield tmp_path
    service_has_left()


def foreword(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOREWORD, *arguments], capture_output=True, text=True, timeout=60, check=False, env=dict(os.environ)
    )


def service_has_left() -> None:
    deadline = time.monotonic() + 30
    while (lock := launch.try_lock(launch.service_lock_path())) is None:
        assert time.monotonic() < deadline, "the service has not left"
        time.sleep(0.05)
    os.close(lock)


def stored() -> dict[str, int]:
    """Root → number of contents, and under the empty name those of no root; read after the service has left."""
    from indexer.store.store import Store

    service_has_left()
    store = Store(paths.store_folder() / schema.generation(), FINGERPRINT)
    try:
        named = store.keys_by_root()
        unnamed = store.known - set[str]().union(*named.values())
        return {**{Path(root).name: len(keys) for root, keys in named.items()}, "": len(unnamed)}
    finally:
        store.abandon()


def indexed(*folders: Path) -> list[Any]:
    found: list[Any] = []
    for folder in folders:
        ended = foreword("index", str(folder), "--json")
        assert ended.returncode == 0, ended.stderr
        found.append(json.loads(ended.stdout))
    return found


def test_one_root_goes_and_what_another_shares_stays(home: Path) -> None:
    one, two = indexed(home / "one", home / "two")
    assert (one["files"], two["files"]) == (2, 2) and two["store_bytes"] > 0
    assert stored() == {"one": 2, "two": 2, "": 0}
    ended = foreword("index", str(home / "one"), "--forget")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert str(home / "one") in ended.stderr.replace("\n", "")
    assert stored() == {"two": 2, "": 0}
    again = indexed(home / "one", home / "two")
    assert [each["symbols"] for each in again] == [2, 2]


def test_a_folder_that_is_gone_can_be_forgotten(home: Path) -> None:
    indexed(home / "one")
    for path in (home / "one").iterdir():
        path.unlink()
    (home / "one").rmdir()
    forgotten = foreword("index", str(home / "one"), "--forget", "--json")
    assert (forgotten.returncode, json.loads(forgotten.stdout)) == (0, {"forgotten": str(home / "one")})
    assert stored() == {"": 0}


def test_everything_goes(home: Path) -> None:
    indexed(home / "one", home / "two")
    everything = foreword("index", "--forget", "--all", "--json")
    assert (everything.returncode, json.loads(everything.stdout)) == (0, {"forgotten": None})
    assert stored() == {"": 0}


async def test_what_is_open_elsewhere_is_refused(home: Path) -> None:
    client = await IndexClient.connect()
    await client.open_root(str(home / "one"), wait=True)
    for arguments in ((str(home / "one"),), ("--all",)):
        ended = await asyncio.to_thread(foreword, "index", "--forget", *arguments)
        assert ended.returncode == 1 and "close it there first" in ended.stderr
    await client.open_root(str(home / "two"), wait=True)
    with pytest.raises(IndexServiceError):
        await client.symbols("/nowhere", name="x")
    await client.forget(str(home / "two"))  # which nobody else holds
    found = await client.symbols(str(home / "one"), name="only_in_one")
    assert [each.path for each in found.definitions] == ["own.py"]
    await client.close()


@pytest.mark.parametrize("arguments", [("--all",), ("--forget", "--all", "FOLDER"), ("FOLDER/none",)])
def test_wrong_usage(home: Path, arguments: tuple[str, ...]) -> None:
    ended = foreword("index", *(each.replace("FOLDER", str(home / "one")) for each in arguments))
    assert (ended.returncode, ended.stdout) == (2, "")
