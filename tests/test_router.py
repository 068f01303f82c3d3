"""sglang's router in front of two engines on this machine: a prefix comes back to the worker that has it, and a
worker that dies costs a request nothing but time."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest
from tiny_models import CONTEXT, TINY_SHAPES, make_tiny

from engine.endpoints.client import EngineRequestError, Sampling, SGLangEndpoint, collect
from engine.endpoints.endpoint import Generation
from engine.hosting.launch import sglang_arguments
from engine.paths import models_folder
from engine.profiles import GIB, SMOLLM, Machine
from engine.prompts import Prompt
from engine.weights.weights import ensure

# Two servers start at once before the first test, on a machine that may have one core to spare.
pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

for package, remedy in (("sglang", "the extra foreword[engine]"), ("sglang_router", "sglang-router==0.3.2")):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs {remedy}", allow_module_level=True)

KEY = "one-key-for-clients-and-workers"
START_TIMEOUT_S = 400
STOP_TIMEOUT_S = 20
PROMPT_TOKENS = 600
ANSWER = Sampling(4)
SMALL = Machine(cores=2, memory_bytes=8 * GIB, available_bytes=4 * GIB)
"""What the workers are sized for: their model and its KV pool take a few megabytes."""


class Cluster(msgspec.Struct):
    url: str
    workers: dict[str, psutil.Popen]
    """Each worker's process, by its url."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    model = make_tiny("llama", folder / "model", ensure(SMOLLM))
    profile = msgspec.structs.replace(
        SMOLLM,
        context_native=CONTEXT,
        shape=TINY_SHAPES["llama"],
        kv_bytes_per_token=TINY_SHAPES["llama"].kv_bytes_per_token(),
    )
    arguments = sglang_arguments(profile, model, "cpu", SMALL)
    environment = {
        **os.environ,
        "FOREWORD_MODELS": str(models_folder()),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    with contextlib.ExitStack() as processes:

        def start(module: str, *options: str) -> tuple[str, psutil.Popen]:
            port = free_port()
            log = processes.enter_context((folder / f"{module}-{port}.log").open("wb"))
            command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), *options]
            process = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder)
            processes.callback(end, process)
            return f"http://127.0.0.1:{port}", process

        # Plain servers of SGLang: the router asks for `/health` without a key, and a host of Foreword's answers
        # nobody without one.
        workers = dict(
            start("sglang.launch_server", *arguments, *own, "--dtype", "float32", "--api-key", KEY)
            # two that start at once may draw the same port for torch.distributed
            for own in (("--nccl-port", str(free_port())), ("--nccl-port", str(free_port())))
        )
        for url, process in workers.items():
            wait_for(f"{url}/health_generate", process, folder)
        url, router = start(
            "sglang_router.launch_router",
            *("--worker-urls", *workers),
            *("--policy", "cache_aware"),
            *("--api-key", KEY),
            *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())),
            *("--log-level", "warn"),
            # Retries go to where the prefix is until its circuit opens: after fewer failures than there are retries.
            *("--cb-failure-threshold", "3"),
        )
        wait_for(f"{url}/readiness", router, folder)
        yield Cluster(url, workers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: psutil.Popen, logs: Path) -> None:
    """Until it answers well. A worker's first generation is its warm-up."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(
                url, timeout=30, trust_env=False, headers={"Authorization": f"Bearer {KEY}"}
            ).is_success:
                return
        said = "\n".join(file.read_text(errors="replace")[-1500:] for file in logs.glob("*.log"))
        assert process.poll() is None, f"{process.args} ended with {process.returncode}:\n{said}"
        assert time.monotonic() < deadline, f"{url} does not answer:\n{said}"
        time.sleep(0.2)


def end(process: psutil.Popen) -> None:
    """This process and the children that it started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)


def prompt(first: int, *more: int) -> Prompt:
    ids = [*range(first, first + PROMPT_TOKENS), *more]
    return Prompt(ids=ids, text="", window="", suffix="", taken_off="", window_start_line=0, tokens=len(ids))


async def ask(url: str, wanted: Prompt, key: str = KEY) -> Generation:
    endpoint = SGLangEndpoint(url, key, model="tiny", context_tokens=CONTEXT)
    try:
        return await collect(endpoint, wanted, ANSWER)
    finally:
        await endpoint.close()


async def test_a_prefix_returns_to_its_worker_and_outlives_it(cluster: Cluster):
    starts = (1_000, 20_000)
    # At once: an idle router gives everything new to one worker, the least loaded.
    cold = await asyncio.gather(*(ask(cluster.url, prompt(first)) for first in starts))
    assert [answer.cached_tokens for answer in cold] == [0, 0]
    for turn in range(3):  # as a person types on, in two repositories by turns
        for first in starts:
            answer = await ask(cluster.url, prompt(first, *range(100 + turn)))
            assert answer.cached_tokens is not None
            assert answer.cached_tokens >= PROMPT_TOKENS, (first, turn)
            assert answer.completion_tokens == 4

    holders = {first: await holder_of(cluster, first) for first in starts}
    assert holders[1_000] != holders[20_000], "two repositories, two workers"

    end(cluster.workers[holders[1_000]])
    answer = await ask(cluster.url, prompt(1_000, 7))
    assert answer.completion_tokens == 4, "answered by the other worker"
    assert answer.text == (await ask(cluster.url, prompt(1_000, 7))).text
    again = await ask(cluster.url, prompt(1_000, 7))
    assert again.cached_tokens == PROMPT_TOKENS, "which has the prefix from now on"


async def holder_of(cluster: Cluster, first: int) -> str:
    """The one worker that has this prefix cached, asked directly."""
    cached = {url: (await ask(url, prompt(first, 9))).cached_tokens or 0 for url in cluster.workers}
    holders = [url for url, tokens in cached.items() if tokens >= PROMPT_TOKENS]
    assert len(holders) == 1, cached
    return holders[0]


async def test_the_router_asks_for_the_key(cluster: Cluster):
    with pytest.raises(EngineRequestError) as caught:
        await ask(cluster.url, prompt(3_000), key="another")
    assert caught.value.fault == "refused"
