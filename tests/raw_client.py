"""A language client over stdio that sends exactly what a test says, malformed messages too."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ANSWER_TIMEOUT_S = 20.0
"""On a busy machine; a server that needs longer for what these tests ask is broken."""

INDEX_ONLY = {"engine": {"kind": "none"}}
NO_INDEX = {"engine": {"kind": "none"}, "index": False}


class RawClient:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.notifications: list[dict[str, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.loose_errors: list[dict[str, Any]] = []
        """Errors for messages whose id could not be read."""
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._arrived = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    # ------------------------------------------------------------ sending

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def send_body(self, body: bytes) -> None:
        self.send_bytes(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def send(self, message: dict[str, Any]) -> None:
        self.send_body(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"method": method, "params": params or {}})

    def start(self, method: str, params: Any = None) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Sends a request; its answer, error or result, comes by the future."""
        request_id = next(self._ids)
        self.send({"id": request_id, "method": method, "params": {} if params is None else params})
        return request_id, self.expect(request_id)

    def expect(self, request_id: int) -> asyncio.Future[dict[str, Any]]:
        self._answers[request_id] = asyncio.get_running_loop().create_future()
        return self._answers[request_id]

    async def answer(self, method: str, params: Any = None) -> dict[str, Any]:
        return await asyncio.wait_for(self.start(method, params)[1], ANSWER_TIMEOUT_S)

    async def result(self, method: str, params: Any = None) -> Any:
        answer = await self.answer(method, params)
        assert "error" not in answer, answer
        return answer["result"]

    # ------------------------------------------------------------ what editors do

    async def initialize(self, options: Any = None, root: Path | None = None, **capabilities: Any) -> Any:
        folders = [{"uri": root.as_uri(), "name": root.name}] if root else None
        result = await self.result(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": capabilities,
                "initializationOptions": NO_INDEX if options is None else options,
                "workspaceFolders": folders,
            },
        )
        self.notify("initialized")
        return result

    def open(self, uri: str, text: str, language: str = "python", version: int = 1) -> None:
        item = {"uri": uri, "languageId": language, "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, version: int, *changes: dict[str, Any]) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    async def inline(self, uri: str, line: int, character: int) -> Any:
        return await self.result("textDocument/inlineCompletion", at(uri, line, character))

    async def status(self) -> Any:
        return await self.result("foreword/status")

    async def leave(self) -> int:
        """Shuts the server down as the protocol has it; the status it ended with."""
        await self.result("shutdown")
        self.notify("exit")
        return await self.ended()

    async def ended(self) -> int:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            while (status := self.process.returncode) is None:
                await asyncio.sleep(0.01)
        return status

    # ------------------------------------------------------------ receiving

    async def until(self, wanted: Any, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """The first true answer of `wanted()`, tried after each message."""
        deadline = time.monotonic() + timeout_s
        while not (found := wanted()):
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), deadline - time.monotonic())
        return found

    def logged(self) -> str:
        messages = [each for each in self.notifications if each["method"] == "window/logMessage"]
        return "\n".join(each["params"]["message"] for each in messages)

    def logged_as(self, kind: int) -> list[str]:
        """Messages of one type of the protocol: 1 is an error, 2 a warning."""
        told = [each["params"] for each in self.notifications if each["method"] == "window/logMessage"]
        return [each["message"] for each in told if each["type"] == kind]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while header := await self.process.stdout.readline():
            assert header.startswith(b"Content-Length: "), f"not of the protocol on stdout: {header!r}"
            while (await self.process.stdout.readline()).strip():
                pass
            length = int(header.partition(b":")[2])
            self._take(json.loads(await self.process.stdout.readexactly(length)))
            self._arrived.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            self.requests.append(message)
            self.send({"id": message["id"], "result": None})
        elif "method" in message:
            self.notifications.append(message)
        elif message.get("id") is None:
            self.loose_errors.append(message)
        else:
            self._answers.pop(message["id"]).set_result(message)


def at(uri: str, line: int, character: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": uri},
        "position": {"line": line, "character": character},
        "context": {"triggerKind": 2},
    }


@asynccontextmanager
async def server(home: Path, cwd: Path | None = None, **environment: str) -> AsyncIterator[RawClient]:
    """A server process with folders of its own, ended at the end whatever happens."""
    runtime = home / "run"
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", "from lsp.server import run; run()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=None,
        cwd=cwd,
        env={
            **os.environ,
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_RUNTIME_DIR": str(runtime),
            **environment,
        },
    )
    client = RawClient(process)
    try:
        yield client
    finally:
        if process.returncode is None:
            process.kill()
        client._reading.cancel()
        process._transport.close()  # unread output would keep it open beyond this event loop
        await asyncio.sleep(0)
