"""The engine host, end to end: one for all, closed to others, right, quick to let go, asleep when idle, and
gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx
import psutil
import pytest
from host_client import generate, steps
from processes import lives

from engine.endpoints.client import EngineRequestError, Sampling, SGLangEndpoint, collect
from engine.hosting.host import EXIT_LOCK_HELD
from engine.hosting.hostfile import json_path
from engine.hosting.launch import CHUNK_TOKENS_CPU
from engine.hosting.launcher import EngineError, ensure_engine, list_engines, read_engine, stop_engine
from engine.paths import models_folder
from engine.profiles import find
from engine.prompts import Prompt

pytestmark = pytest.mark.engine

MODEL = "smollm2-135m"
LONG_PROMPT = [*range(1000, 1000 + 3000)]
"""Some twelve chunks of prefill: time enough to cancel in the middle."""
TREES = ["oak", "elm", "ash", "fir", "yew", "box", "bay", "fig", "pear", "plum", "lime", "pine", "cedar"]
NAMES = list(enumerate(TREES * 4))
IDLE_SHARE = 0.02
IDLE_WATCH_S = 10
NEAR_TIE = 0.25
"""Two roundings to bfloat16 may order logits that are closer than this differently."""


def connect(info):
    return httpx.AsyncClient(
        base_url=info.url, headers={"Authorization": f"Bearer {info.key}"}, timeout=60, trust_env=False
    )


def processes(info):
    """All processes of the host; multiprocessing's resource tracker among them."""
    host = psutil.Process(info.pid)
    return [host, *host.children(recursive=True)]


async def until(condition, timeout_s=15.0):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        await asyncio.sleep(0.02)
    return result


async def steps_when(client, condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while True:
        now = await steps(client)
        if condition(now):
            return now
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {now}"
        await asyncio.sleep(0.01)


def test_file_tells_and_is_private(engine_host):
    path = json_path(MODEL, engine_host.version)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_engine(MODEL) == engine_host
    assert engine_host in list_engines()
    assert engine_host.state == "ready"
    assert engine_host.model_hash == find(MODEL).weights.sha256
    assert len(engine_host.key) >= 43


def test_second_host_ends_at_once(engine_host):
    command = [sys.executable, "-I", "-m", "engine.hosting.host", "--model", MODEL]
    ended = subprocess.run(command, timeout=20, capture_output=True, check=False)
    assert ended.returncode == EXIT_LOCK_HELD
    assert read_engine(MODEL) == engine_host


def test_no_heavy_import_in_the_caller():
    code = "import sys, engine.hosting.launcher; print(sorted({'torch', 'sglang'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-I", "-c", code], timeout=30, capture_output=True, check=True)
    assert ended.stdout.decode().strip() == "[]"


async def test_every_route_is_closed(engine_host):
    port = httpx.URL(engine_host.url).port
    async with connect(engine_host) as client:
        routes = (await client.get("/openapi.json")).json()["paths"]
    assert len(routes) > 50
    wanted = [(method.upper(), path) for path, methods in routes.items() for method in methods]
    hidden = ("/metrics", "/health", "/docs", "/redoc", "/openapi.json", "/foreword/steps", "/", "/nothing")
    wanted += [("GET", path) for path in hidden] + [("POST", "/foreword/drain"), ("OPTIONS", "/generate")]
    wanted.append(("POST", "/foreword/cached"))
    good = {"Authorization": f"Bearer {engine_host.key}"}
    attempts = [
        ({}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({**good, "Origin": "http://localhost"}, 403),
        ({**good, "Host": f"evil.example:{port}"}, 403),
    ]
    async with httpx.AsyncClient(base_url=engine_host.url, trust_env=False, timeout=10) as client:
        for method, path in wanted:
            for headers, status in attempts:
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == status, (method, path, headers)
                assert method == "HEAD" or answer.json()["message"]
                assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(("extra", "status"), [("", b"401"), ("Origin: http://localhost\r\n", b"403")])
async def test_websockets_are_closed(engine_host, extra, status):
    url = httpx.URL(engine_host.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"GET /v1/realtime HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()
    assert status in answer


async def test_listens_on_this_machine_alone(engine_host):
    listening = [
        connection
        for process in processes(engine_host)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::1"}


async def test_nothing_secret_is_printed(engine_host):
    log = Path(os.environ["XDG_CACHE_HOME"]) / "foreword" / "logs" / f"engine-{MODEL}.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert engine_host.key not in log.read_text()
    for process in processes(engine_host):
        assert engine_host.key not in " ".join(process.cmdline())


@pytest.fixture
def host_of_whole_weights(tmp_path_factory):
    """A host whose linear layers are not rounded to 8 bits (what that costs: tests/test_quality.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREWORD_MODELS", str(models_folder()))
        patch.setenv("FOREWORD_LINEARS", "bf16")
        for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        try:
            yield asyncio.run(ensure_engine(find(MODEL), timeout_s=280))
        finally:
            asyncio.run(stop_engine(MODEL))


async def test_text_is_the_models(host_of_whole_weights):
    """Each greedy token has the highest logit, or nearly so, in transformers' float32 run of the same
    weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer

    from engine.weights.weights import ensure

    folder = ensure(find(MODEL))
    text = "def fibonacci(n):\n    if n < 2:\n        return n\n    return"
    prompt = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    async with connect(host_of_whole_weights) as client:
        written = (await generate(client, prompt, 16))["output_ids"]
    assert len(written) == 16
    torch.set_num_threads(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.inference_mode():
        logits = model(torch.tensor([prompt + written])).logits[0, len(prompt) - 1 : -1]
    behind = logits.max(-1).values - logits.gather(-1, torch.tensor(written)[:, None])[:, 0]
    assert behind.max() < NEAR_TIE, behind.tolist()


async def test_cached_prefix_gives_the_same_text(engine_host):
    """A text and its own beginning once more: what follows is sure, and can only be read from the prefix."""
    from tokenizers import Tokenizer

    from engine.weights.weights import ensure

    source = "".join(
        f"def step_{name}_{number}(value):\n    return value + {number}\n" for number, name in NAMES
    )
    beginning = "".join(source.splitlines(keepends=True)[:41]).rstrip()
    source = "zebra = 0\n" + source  # no other test's prompt begins so
    tokenizer = Tokenizer.from_file(str(ensure(find(MODEL)) / "tokenizer.json"))
    prompt = tokenizer.encode(source + beginning, add_special_tokens=False).ids
    assert len(prompt) > 3 * CHUNK_TOKENS_CPU
    async with connect(engine_host) as client:
        cold = await generate(client, prompt, 7)
        warm = await generate(client, prompt, 7)
        batch = await asyncio.gather(*(generate(client, prompt, 7) for _ in range(3)))
    assert cold["meta_info"]["cached_tokens"] == 0
    assert warm["meta_info"]["cached_tokens"] == len(prompt) - 1
    assert cold["text"] == "\n    return value + 20"
    assert {event["text"] for event in (warm, *batch)} == {cold["text"]}


@pytest.mark.parametrize("moment", ["queued", "prefill", "decode"])
async def test_cancel_is_idle_within_a_step(engine_host, moment):
    """Whenever it comes, an abort leaves the scheduler idle within one step and the pool as free as
    before."""
    rid = uuid.uuid4().hex
    seen: list[object] = []
    async with connect(engine_host) as client:
        before = await steps_when(client, lambda now: now["running"] == 0)
        prompt = [7, 8, 9] if moment == "decode" else [*LONG_PROMPT, len(moment)]
        task = asyncio.create_task(generate(client, prompt, 2000, rid=rid, seen=seen))
        if moment == "queued":
            await steps_when(client, lambda now: now["running"] == 1)
        elif moment == "prefill":
            await steps_when(client, lambda now: now["steps"] >= before["steps"] + 2)
            assert not seen
        else:
            await until(lambda: len(seen) >= 3)
        await client.post("/abort_request", json={"rid": rid})
        after = await steps_when(
            client, lambda now: now["aborts"] > before["aborts"] and now["idle_step"] >= 0
        )
        await asyncio.wait_for(task, 10)
    assert after["idle_step"] - after["last_abort_arrival_step"] <= 1
    assert after["running"] == 0
    assert after["kv_free_tokens"] == before["kv_free_tokens"] == before["kv_total_tokens"]


async def test_closing_the_stream_cancels_too(engine_host):
    async with connect(engine_host) as client:
        before = await steps_when(client, lambda now: now["running"] == 0)
        task = asyncio.create_task(generate(client, [*LONG_PROMPT, 77], 2000))
        await steps_when(client, lambda now: now["running"] == 1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        after = await steps_when(client, lambda now: now["running"] == 0)
    assert after["kv_free_tokens"] == before["kv_free_tokens"]


async def test_status_tells_memory_cache_and_requests(engine_host):
    endpoint = SGLangEndpoint(engine_host.url, engine_host.key, model=MODEL, context_tokens=8192)
    async with connect(engine_host) as client:
        await steps_when(client, lambda now: now["running"] == 0)
        before = await endpoint.status()
        cold = await generate(client, [*range(5000, 5600)])
        warm = await generate(client, [*range(5000, 5600)])
        assert (cold["meta_info"]["cached_tokens"], warm["meta_info"]["cached_tokens"]) == (0, 599)
        after = await endpoint.status()
        counted = await steps(client)
    await endpoint.close()
    assert after["model"] == MODEL and after["requests"] == before["requests"] + 2
    assert (after["running"], after["waiting"]) == (0, 0)
    assert after["kv_free_tokens"] == after["kv_total_tokens"] > 0
    assert after["cache_hit_rate"] == pytest.approx(counted["cached_tokens"] / counted["prompt_tokens"])
    assert 0 < after["cache_hit_rate"] < 1 and after["uptime_s"] > before["uptime_s"] > 0
    everyone = sum(process.memory_info().rss for process in processes(engine_host))
    assert after["rss_bytes"] == pytest.approx(everyone, rel=0.1)


@pytest.mark.slow
async def test_asleep_when_idle(engine_host):
    async with connect(engine_host) as client:
        await steps_when(client, lambda now: now["running"] == 0)
    await asyncio.sleep(1)
    everyone = processes(engine_host)

    def cpu_s():
        return sum(sum(process.cpu_times()[:2]) for process in everyone)

    before = cpu_s()
    await asyncio.sleep(IDLE_WATCH_S)
    assert cpu_s() - before <= IDLE_SHARE * IDLE_WATCH_S
    assert len([name for each in everyone for name in thread_names(each) if name.startswith("gloo")]) == 1


def thread_names(process: psutil.Process) -> list[str]:
    tasks = Path(f"/proc/{process.pid}/task")
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()]


@pytest.fixture
async def other_home(tmp_path, monkeypatch, engine_home):
    """A home of its own for hosts that are going to be killed."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield
    await stop_engine(MODEL, timeout_s=5)


@pytest.mark.slow
async def test_dies_wholly_and_comes_back(other_home):
    profile = find(MODEL)

    loading = asyncio.create_task(ensure_engine(profile, timeout_s=120))
    young = await until(lambda: (found := read_engine(MODEL)) and found.state == "loading" and found, 60)
    await until(lambda: len(psutil.Process(young.pid).children()) >= 2, 60)
    family = processes(young)
    os.kill(young.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="killed by SIGKILL"):
        await loading
    await until(lambda: not any(lives(process) for process in family))

    first = await ensure_engine(profile, timeout_s=120)
    family = processes(first)
    os.kill(first.pid, signal.SIGKILL)
    await until(lambda: not any(lives(process) for process in family))
    await until(lambda: read_engine(MODEL) is None)  # the lock goes with the last thread

    second = await ensure_engine(profile, timeout_s=120)
    assert second.pid != first.pid
    assert second.key != first.key
    family = processes(second)
    scheduler = next(process for process in family if "scheduler" in " ".join(process.cmdline()))
    scheduler.kill()
    await until(lambda: not any(lives(process) for process in family))
    await until(lambda: read_engine(MODEL) is None)  # the lock goes with the last thread
    assert b"died while it served" in json_path(MODEL, second.version).read_bytes()


@pytest.mark.slow
async def test_a_newer_version_lets_it_finish(other_home):
    profile = find(MODEL)
    info = await ensure_engine(profile, timeout_s=120, host_arguments=("--idle-exit-s", "3"))
    family = processes(info)
    seen: list[object] = []
    async with connect(info) as client:
        running = asyncio.create_task(generate(client, [7, 8, 9], 150, seen=seen))
        await until(lambda: seen)
        from engine.hosting.launcher import _replace_older_versions

        await _replace_older_versions(MODEL, "0.0.0")
        assert [engine.state for engine in list_engines()] == ["ready"], "an older version sends nobody away"
        await _replace_older_versions(MODEL, "999.0")
        refused = await client.post("/generate", json={"input_ids": [1]})
        assert (refused.status_code, refused.json()["error"]) == (503, "draining")
        endpoint = SGLangEndpoint(
            info.url, info.key, model=MODEL, context_tokens=info.context_tokens, packs_ids=True
        )
        with pytest.raises(EngineRequestError) as caught:
            await collect(endpoint, Prompt([1], "", "", "", "", 0, 1), Sampling(1))
        assert caught.value.fault == "draining", "so that the caller looks for a successor at once"
        await endpoint.close()
        assert [engine.state for engine in list_engines()] == ["draining"]
        assert (await running)["meta_info"]["completion_tokens"] == 150
    await until(lambda: not any(lives(process) for process in family), 20)
    assert list_engines() == []


@pytest.mark.slow
async def test_leaves_when_nobody_asks(other_home):
    info = await ensure_engine(find(MODEL), timeout_s=120, host_arguments=("--idle-exit-s", "2"))
    family = processes(info)
    async with connect(info) as client:
        # longer than the idle time on a slow machine: it must not be cut off
        await generate(client, [7, 8, 9], 100)
    await until(lambda: not any(lives(process) for process in family), 30)
    assert not json_path(MODEL, info.version).exists()


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_a_host_that_prepares_weights_takes_its_children_along(other_home, tmp_path, monkeypatch, end):
    """The model file is here, its conversion is what runs; a download runs in the same kind of child."""
    weights = find(MODEL).weights
    file = models_folder() / "gguf" / weights.file
    if not file.exists():
        pytest.skip("needs the model file, as it was downloaded")
    (tmp_path / "models" / "gguf").mkdir(parents=True)
    (tmp_path / "models" / "gguf" / weights.file).symlink_to(file)
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    preparing = asyncio.create_task(ensure_engine(find(MODEL), timeout_s=120))
    young = await until(lambda: read_engine(MODEL), 60)
    converting = await until(lambda: psutil.Process(young.pid).children(), 60)
    await until(lambda: "engine.weights.convert" in converting[0].cmdline())
    if end == "kill":
        os.kill(young.pid, signal.SIGKILL)
    else:
        assert await stop_engine(MODEL, timeout_s=20)
    with pytest.raises(EngineError, match="killed by SIGKILL" if end == "kill" else "stopped before it was"):
        await preparing
    await until(lambda: not any(lives(process) for process in converting), 5)


async def test_failure_is_told_to_all_who_wait(other_home, tmp_path, monkeypatch):
    blocked = tmp_path / "models"
    blocked.write_text("a file where the folder of the models should be")
    monkeypatch.setenv("FOREWORD_MODELS", str(blocked))
    outcomes = await asyncio.gather(
        *(ensure_engine(find(MODEL), timeout_s=60) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, EngineError) for outcome in outcomes), outcomes
    assert all("models" in str(outcome) for outcome in outcomes)
    assert list_engines() == []


async def test_stopping_what_does_not_run(other_home):
    assert await stop_engine(MODEL) is False
