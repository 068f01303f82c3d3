"""SGLang's processes are forks of the host that hold nothing of it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import psutil
import pytest
from host_client import connect, generate

from engine.forking import other_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells its threads so")


def test_a_second_thread_is_seen():
    before = len(other_threads())
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert len(other_threads()) == before + 1
    end.set()
    thread.join()


@pytest.mark.engine
async def test_children_hold_neither_lock_nor_port(engine_host):
    """Else a host that was killed would seem to live, and its port would stay taken, as long as they do."""
    children = psutil.Process(engine_host.pid).children()
    assert len(children) >= 2
    for child in children:
        files = [
            Path(f"/proc/{child.pid}/fd/{each.name}") for each in Path(f"/proc/{child.pid}/fd").iterdir()
        ]
        assert not any(str(file.readlink()).endswith(".lock") for file in files if file.is_symlink())
        listening = [
            each.laddr for each in child.net_connections("inet") if each.status == psutil.CONN_LISTEN
        ]
        assert not any(f":{address.port}" in engine_host.url for address in listening)
    async with connect(engine_host) as client:
        assert (await generate(client, [1, 2, 3], 2))["meta_info"]["completion_tokens"] == 2
