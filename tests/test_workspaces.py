"""Who shares the KV pool, and what a host tells of itself."""

from __future__ import annotations

import time

import psutil
import pytest
from host_client import connect, generate

from engine.cpu.facts import FACTS_FILE, FACTS_PATH, Facts, read_facts, tell
from engine.hosting.attendance import Attendance, workspace_of
from engine.hosting.vitals import memory_by_kind
from engine.scheduler.workspaces import LIVE_S, REMEMBERED, Workspaces, kv_share_tokens


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_workspaces_live_for_ten_minutes():
    clock = Clock()
    workspaces = Workspaces(clock)
    assert workspaces.live() == 0
    workspaces.seen("a")
    clock.now_s = LIVE_S
    workspaces.seen("b")
    workspaces.seen("b")
    assert workspaces.live() == 2
    clock.now_s += 1
    assert workspaces.live() == 1
    for number in range(2 * REMEMBERED):
        workspaces.seen(f"{number}")
    assert workspaces.live() == REMEMBERED


@pytest.mark.parametrize(("live", "share"), [(0, 7000), (1, 7000), (2, 3500), (3, 2333)])
def test_the_pool_less_a_reserve_is_divided_evenly(live, share):
    assert kv_share_tokens(8000, live) == share


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([], ""),
        ([(b"X-Foreword-Workspace", b"abc")], "abc"),
        ([(b"host", b"x"), (b"x-foreword-workspace", b"abc")], "abc"),
        ([(b"x-foreword-workspace", b"a" * 4000)], ""),
    ],
)
def test_a_workspace_is_named_by_a_header(headers, name):
    assert workspace_of({"headers": headers}) == name


async def test_only_work_counts():
    async def app(scope, receive, send):
        pass

    host = Attendance(
        app, idle_exit_s=1, clock=time.monotonic, still_known=lambda: True, on_draining=lambda: None
    )

    async def ask(path, name):
        headers = [(b"x-foreword-workspace", name)] if name else []
        await host({"type": "http", "path": path, "headers": headers}, None, None)

    await ask("/generate", b"before it is ready")
    assert host.workspaces.live() == 0
    host.mark_ready()
    await ask("/foreword/host", b"looks")
    await ask("/abort_request", b"cancels")
    assert host.workspaces.live() == 0
    for name in (b"a", b"b", b"a", b"", b""):
        await ask("/generate", name)
    await ask("/foreword/generate", b"c")
    assert host.workspaces.live() == 4


def test_facts_are_read_where_they_are(tmp_path):
    assert read_facts(tmp_path) == Facts()
    (tmp_path / FACTS_FILE).write_text('{"linears": "int8", "threads": 1, "speculation": "off", "why": "w"}')
    assert read_facts(tmp_path) == Facts("int8", 1, speculation="off", why="w")
    (tmp_path / FACTS_FILE).write_text("{")
    assert FACTS_FILE in read_facts(tmp_path).why


def test_facts_are_told_to_who_wants_to_know(tmp_path, monkeypatch):
    facts = Facts("int8", 3, why="measured", speculation="off")
    monkeypatch.delenv(FACTS_PATH, raising=False)
    tell(facts)
    monkeypatch.setenv(FACTS_PATH, str(tmp_path / FACTS_FILE))
    tell(facts)
    assert read_facts(tmp_path) == facts


def test_memory_of_a_process_that_is_no_host():
    memory = memory_by_kind(psutil.Process())["server"]
    assert 0 < (memory.pss_bytes or 1) <= memory.rss_bytes * 1.1


@pytest.mark.engine
async def test_a_host_tells_its_workspaces_and_its_memory(engine_host):
    async with connect(engine_host) as client:
        client.headers["X-Foreword-Workspace"] = "a"
        await generate(client, [1, 2, 3])
        one = (await client.get("/foreword/host")).json()
        client.headers["X-Foreword-Workspace"] = "b"
        await generate(client, [1, 2, 3])
        two = (await client.get("/foreword/host")).json()
    assert two["workspaces"] == one["workspaces"] + 1
    assert two["kv_share_tokens"] < one["kv_share_tokens"] < one["kv_total_tokens"]
    assert {"server", "scheduler", "detokenizer"} <= set(two["processes"])
    assert sum(part["rss_bytes"] for part in two["processes"].values()) == two["rss_bytes"]
    assert two["threads"] >= 1
    assert two["window_extended"] is False
