"""Ours and stock: the product's engine host, started for the benchmark alone and talked to as the product does."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from benchmarks.engine.perplexity import of_prompts
from benchmarks.engine.rows import Row
from benchmarks.engine.targets import Reading, megabytes
from benchmarks.targets import TargetError, end
from engine.endpoints.client import EngineRequestError, Sampling, SGLangEndpoint, Timeouts, collect
from engine.endpoints.sse import events, http_client
from engine.hosting.hostfile import EngineInfo, foreword_version, read_file, stem
from engine.hosting.steps import Steps
from engine.paths import PRIVATE, models_folder
from engine.profiles import Profile
from engine.prompts import Prompt
from engine.tied import tied

START_TIMEOUT_S = 900.0
"""A host that shares two cores with another one, and with a linear kernel that packs its weights, takes its time."""
POLL_S = 0.1
LOG_LINES = 8
FORGET_TIMEOUT_S = 30
TIMEOUTS = Timeouts(first_event_s=900.0, between_events_s=300.0)
"""Stock attention needs minutes where ours needs seconds: a baseline is waited for, not cut off."""
STOCK_ARGUMENTS = ("--attention-backend", "torch_native")
STOCK_ENVIRONMENT = {"FOREWORD_LINEARS": "bf16", "FOREWORD_SPECULATION": "off"}


class Hosted:
    """One engine host with a runtime and a cache folder of its own: never the one that editors share."""

    def __init__(
        self,
        name: str,
        profile: Profile,
        scratch: Path,
        *,
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        host_options: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.profile = profile
        self.told: dict[str, Any] = {}
        """What the host says of itself once it is ready."""
        self._home = scratch / name
        self._arguments = arguments
        self._environment = environment or {}
        self._host_options = host_options
        self._process: asyncio.subprocess.Process | None = None
        self._open = AsyncExitStack()
        self._info: EngineInfo | None = None
        self._endpoint: SGLangEndpoint | None = None
        self._http: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Start the host and wait until it answers. Raises TargetError with what it said last."""
        self._home.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "FOREWORD_MODELS": str(models_folder()),
            **self._environment,
            "XDG_RUNTIME_DIR": str(self._home),
            "XDG_CACHE_HOME": str(self._home),
        }
        argv = [
            sys.executable,
            "-I",
            "-m",
            "engine.hosting.host",
            "--model",
            self.profile.short,
            *self._host_options,
        ]
        with (self._home / "start.log").open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *tied([*argv, "--", *self._arguments] if self._arguments else argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self._home,
                start_new_session=True,  # Ctrl-C is for the benchmark, which ends its hosts itself
            )
        self._info = await self._until_ready(self._process)
        self._endpoint = self.connect()
        self._http = http_client(self._info.url, self._info.key, TIMEOUTS)
        try:
            self.told = await self._endpoint.status()
        except EngineRequestError as error:
            raise TargetError(f"{self.name}: {error}") from error

    async def _until_ready(self, process: asyncio.subprocess.Process) -> EngineInfo:
        file = self._home / "foreword" / f"{stem(self.profile.short, foreword_version())}.json"
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            info = read_file(file)
            if info is not None and info.state == "ready":
                return info
            if process.returncode is not None:
                reason = info.reason if info is not None else ""
                raise TargetError(
                    f"{self.name}: the engine host ended with code {process.returncode}. {reason}\n{self._last_words()}"
                )
            await asyncio.sleep(POLL_S)
        raise TargetError(f"{self.name}: the engine host was not ready after {START_TIMEOUT_S:.0f} s")

    def _last_words(self) -> str:
        logs = [self._home / "start.log", *self._home.glob("foreword/logs/*.log")]
        lines = [
            line for log in logs if log.exists() for line in log.read_text(errors="replace").splitlines()
        ]
        return "\n".join(lines[-LOG_LINES:])

    def connect(self) -> SGLangEndpoint:
        """A further client of this host. Raises TargetError where it is not running."""
        info = self._info
        if info is None:
            raise TargetError(f"{self.name}: the engine host is not running")
        return SGLangEndpoint(
            info.url, info.key, model=info.model, context_tokens=info.context_tokens, timeouts=TIMEOUTS
        )

    @property
    def endpoint(self) -> SGLangEndpoint:
        """Raises TargetError where the host is not running."""
        if self._endpoint is None:
            raise TargetError(f"{self.name}: the engine host is not running")
        return self._endpoint

    @property
    def http(self) -> httpx.AsyncClient:
        if self._http is None:
            raise TargetError(f"{self.name}: the engine host is not running")
        return self._http

    def settings(self, row: str) -> str:
        if self.name == "ours":
            wanted = ("threads", "linears", "speculation")
            return ", ".join(f"{name} {self.told[name]}" for name in wanted if self.told.get(name))
        threads = self._environment.get("FOREWORD_THREADS", "")
        return f"SGLang {' '.join(self._arguments)}" + (f", threads {threads}" if threads else "")

    async def prepare(self, row: Row) -> None:
        if row.base:
            await self.read(row.base)

    async def run(self, row: Row, ids: list[int]) -> Reading:
        reading = await (self.read(ids) if row.decoded == 1 else self.decode(ids, row.decoded))
        if row.cold and reading.cached_tokens:
            raise TargetError(
                f"{self.name}: {reading.cached_tokens} tokens of a cold prompt came from its cache"
            )
        return reading

    async def read(self, ids: list[int], *, priority: int = 0) -> Reading:
        """Time to the first token, by the product's own client."""
        try:
            answer = await collect(self.endpoint, prompt_of(ids), Sampling(1), priority=priority)
        except EngineRequestError as error:
            raise TargetError(f"{self.name}: {error}") from error
        return Reading(answer.ttft_s, None, answer.cached_tokens or 0)

    async def decode(self, ids: list[int], tokens: int) -> Reading:
        """Exactly `tokens` tokens, whichever they are: a completion's own end would make the lengths differ."""
        body = msgspec.json.encode(
            {
                "rid": uuid4().hex,
                "input_ids": ids,
                "stream": True,
                "sampling_params": {"temperature": 0, "max_new_tokens": tokens, "ignore_eos": True},
            }
        )
        began = time.monotonic()
        seen: list[tuple[float, int]] = []
        cached = 0
        stream = events(self.http, "/generate", body, name=self.name, timeouts=TIMEOUTS)
        try:
            async with aclosing(stream):
                async for document in stream:
                    meta: Any = document.get("meta_info") or {}
                    seen.append((time.monotonic(), int(meta.get("completion_tokens", 0))))
                    cached = int(meta.get("cached_tokens", 0))
        except EngineRequestError as error:
            raise TargetError(f"{self.name}: {error}") from error
        if not seen or seen[-1][1] != tokens:
            raise TargetError(f"{self.name}: {seen[-1][1] if seen else 0} of {tokens} tokens came back")
        (first_at, first), (last_at, last) = seen[0], seen[-1]
        if last == first:
            raise TargetError(f"{self.name}: all {tokens} tokens came at once, so that none can be timed")
        return Reading(first_at - began, (last_at - first_at) / (last - first), cached)

    async def perplexity(self, windows: list[list[int]]) -> dict[str, float]:
        return {self.settings("perplexity"): await of_prompts(self.ask, windows)}

    async def steps(self) -> Steps:
        """What the scheduler has done so far."""
        try:
            answer = await self.http.get("/foreword/steps")
            return msgspec.json.decode(answer.content, type=Steps)
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise TargetError(f"{self.name}: its step page cannot be read: {error}") from error

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """One answer of `/generate`, whole."""
        try:
            answer = await self.http.post("/generate", json=body, timeout=TIMEOUTS.first_event_s)
        except httpx.HTTPError as error:
            raise TargetError(f"{self.name}: /generate failed: {type(error).__name__} {error}") from error
        if not answer.is_success:
            raise TargetError(
                f"{self.name}: /generate was answered with {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json()

    async def forget(self) -> None:
        """Empties the prefix cache once nothing is under way: what a server has read ahead may end a moment after it.
        Raises TargetError."""
        try:
            answer = await self.http.post("/flush_cache", params={"timeout": FORGET_TIMEOUT_S})
            answer.raise_for_status()
        except httpx.HTTPError as failed:
            raise TargetError(f"{self.name}: its cache could not be emptied: {failed}") from failed

    def memory(self) -> dict[str, tuple[float, float]]:
        return {} if self._process is None else {"": megabytes(self._process.pid)}

    async def close(self) -> None:
        """End the host with all its processes, however far it had come."""
        if self._endpoint is not None:
            await self._endpoint.close()
        if self._http is not None:
            await self._http.aclose()
        if self._process is not None:
            await end(self._process)
        self._endpoint = self._http = self._process = self._info = None


def prompt_of(ids: list[int]) -> Prompt:
    return Prompt(ids, "", "", "", "", 0, len(ids))
