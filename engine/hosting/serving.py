"""Runs SGLang inside the host: its processes, its FastAPI app behind the guard, and their end together.

The steps follow `sglang.srt.entrypoints.http_server.launch_server` of the pinned release; what differs is
that the socket is ours from the start (the port is known and held while the model loads), that the guard
stands outside of everything, and that the server ends when the host is no longer needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from engine.cpu.facts import read_facts
from engine.hosting.attendance import Attendance
from engine.hosting.forking import Child, fork_children_of
from engine.hosting.guard import AsgiApp, Guard
from engine.hosting.steps import StepPage
from engine.hosting.vitals import host_status
from engine.models.yarn import tells_extended

WARM_UP_TIMEOUT_S = 300
"""The first batch makes kernels and threads; on a loaded machine that took a minute at most."""
CHILDREN_EXIT_S = 10
"""How long the scheduler may take to let go of its memory before it is killed."""
CONNECT_RETRY_S = 0.1
SERVED_MODELS = "engine.models.served"
UNUSED = "sklearn"
"""transformers imports it where it is installed, and with it scipy and pandas, for a way to decode that SGLang does not
use: two seconds of a core."""


def bind_local_port() -> socket.socket:
    """A socket bound to a free port of 127.0.0.1, not yet listening. Raises OSError where there is none."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.bind(("127.0.0.1", 0))
    except OSError as error:
        bound.close()
        raise OSError(
            error.errno,
            "no port of 127.0.0.1 is free for the engine; end a program that holds many, and try again",
        ) from error
    return bound


class Serving(msgspec.Struct):
    """What one run of the server needs."""

    arguments: list[str]
    """SGLang's command line, without the address and the key."""
    key: str
    bound: socket.socket
    page: Path
    """The step page, laid already."""
    idle_exit_s: float
    device: str
    lock_file: int
    """Descriptor of the host's lock."""
    on_ready: Callable[[], None]
    still_known: Callable[[], bool]
    """Whether callers can still find this host."""
    on_draining: Callable[[], None]
    """Called once, when no new request is taken any more."""
    on_child_failure: Callable[[], None]
    """Called in a signal handler when one of SGLang's processes failed; it does not return."""


def serve(serving: Serving) -> None:
    """Start SGLang, serve until nobody needs it, and end its processes. Blocks for the life of the host.

    Raises RuntimeError where SGLang does not come up.
    """
    sys.modules.setdefault(UNUSED, None)  # type: ignore[arg-type]  # counts as not installed
    os.environ.setdefault("SGLANG_EXTERNAL_MODEL_PACKAGE", SERVED_MODELS)

    from sglang.srt.entrypoints import http_server
    from sglang.srt.entrypoints.engine import Engine, init_tokenizer_manager
    from sglang.srt.managers.detokenizer_manager import run_detokenizer_process
    from sglang.srt.platforms import current_platform
    from sglang.srt.plugins import load_plugins
    from sglang.srt.server_args import prepare_server_args
    from sglang.srt.utils.auth import add_api_key_middleware

    from engine.hosting.cached_route import add_cached_route
    from engine.hosting.token_route import add_token_route
    from engine.hosting.worker import run_scheduler
    from engine.scheduler import early_aborts
    from engine.scheduler.superseded import Superseded

    _on_child_failure[:] = [serving.on_child_failure]
    early_aborts.heed_early_aborts(Superseded(time.monotonic))
    forking = fork_children_of(serving.device)
    load_plugins()
    early_aborts.check_applied()
    _ = current_platform.device_name  # choosing the platform makes its attention backend a known choice
    port: int = serving.bound.getsockname()[1]
    server_args: Any = prepare_server_args(serving.arguments)
    server_args.host, server_args.port, server_args.api_key = "127.0.0.1", port, serving.key
    server_args.custom_sigquit_handler = on_sigquit
    watchdog: Any = None
    host_files = (serving.lock_file, serving.bound.fileno())
    try:
        launched: Any = Engine._launch_subprocesses(  # pyright: ignore[reportPrivateUsage]
            server_args=server_args,
            init_tokenizer_manager_func=init_tokenizer_manager,
            run_scheduler_process_func=Child(
                functools.partial(run_scheduler, serving.page), host_files, forking
            ),
            run_detokenizer_process_func=Child(run_detokenizer_process, host_files, forking),
        )
        forking.end()
        tokenizer_manager, templates, _ports, scheduler, watchdog, _caches = launched
        http_server.set_global_state(
            http_server._GlobalState(  # pyright: ignore[reportPrivateUsage]
                tokenizer_manager=tokenizer_manager,
                template_manager=templates,
                scheduler_info=scheduler.scheduler_infos[0],
            )
        )
        manager: Any = tokenizer_manager
        app: Any = http_server.app
        app.is_single_tokenizer_mode = True
        app.server_args = server_args
        add_api_key_middleware(app, api_key=serving.key, admin_api_key=None)  # keeps admin routes closed
        attendance = Attendance(
            app,
            idle_exit_s=serving.idle_exit_s,
            clock=time.monotonic,
            still_known=serving.still_known,
            on_draining=serving.on_draining,
        )
        manager.signal_handler_class = functools.partial(Signals, attendance)
        add_own_routes(app, attendance, serving, server_args.served_model_name)
        add_token_route(app, manager.model_config.vocab_size)
        add_cached_route(app, manager)
        server = make_server(Guard(attendance, key=serving.key, port=port))
        app.router.lifespan_context = accompanied(app.router.lifespan_context, attendance, server)
        app.warmup_thread_kwargs = {
            "server_args": server_args,
            "launch_callback": serving.on_ready,
            "execute_warmup_func": functools.partial(warm_up, manager, attendance, server, serving.key),
        }
        manager.set_server_stop_hook(functools.partial(setattr, server, "should_exit", True))
        server.run(sockets=[serving.bound])
    finally:
        _on_child_failure.clear()  # from here on the children's end is wanted, no crash
        if watchdog is not None:
            watchdog.stop()
        end_children()


def on_sigquit(_signal: int, _frame: object) -> None:
    """SGLang's children, and its watch over them, send SIGQUIT to the host when one of them failed."""
    for child_failed in _on_child_failure:
        child_failed()


_on_child_failure: list[Callable[[], None]] = []
"""What to do then. Here and not in an argument, since SGLang sends its arguments to its children."""


def make_server(app: AsgiApp) -> Any:
    """A uvicorn server that logs only warnings and answers disconnects at once."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(app, loop="uvloop", log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        # pyright: ignore[reportArgumentType]
    )


def add_own_routes(app: Any, attendance: Attendance, serving: Serving, model: str) -> None:
    """`GET /foreword/host`, `GET /foreword/steps` and `POST /foreword/drain`, beside SGLang's routes."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response

    page = StepPage(serving.page)
    extended = tells_extended(serving.arguments)

    async def steps() -> Response:
        """In a thread: a page that is just being written is waited for."""
        return Response(
            msgspec.json.encode(await run_in_threadpool(page.read)), media_type="application/json"
        )

    def look(live_workspaces: int) -> bytes:
        status = host_status(
            model,
            page,
            live_workspaces=live_workspaces,
            facts=read_facts(serving.page.parent),
            window_extended=extended,
        )
        return msgspec.json.encode(status)

    async def host() -> Response:
        """In a thread: the kernel takes 10 to 40 ms to add up each process's memory, and tokens must not wait for
        that. The workspaces belong to this loop, and are counted in it."""
        body = await run_in_threadpool(look, attendance.workspaces.live())
        return Response(body, media_type="application/json")

    async def drain() -> Response:
        attendance.drain()
        return Response(msgspec.json.encode({"state": "draining"}), media_type="application/json")

    app.add_api_route("/foreword/host", host, methods=["GET"], include_in_schema=False)
    app.add_api_route("/foreword/steps", steps, methods=["GET"], include_in_schema=False)
    app.add_api_route("/foreword/drain", drain, methods=["POST"], include_in_schema=False)


def accompanied(
    lifespan: Callable[[Any], contextlib.AbstractAsyncContextManager[None]],
    attendance: Attendance,
    server: Any,
) -> Callable[[Any], contextlib.AbstractAsyncContextManager[None]]:
    """SGLang's lifespan with a task beside it that ends the server when nobody needs it."""

    async def leave_when_unneeded() -> None:
        reason = await attendance.until_unneeded()
        attendance.drain()
        print(f"Leaving: {reason}.", flush=True)
        server.should_exit = True

    @contextlib.asynccontextmanager
    async def both(app: Any) -> AsyncGenerator[None]:
        async with lifespan(app):
            leaving = asyncio.create_task(leave_when_unneeded())
            try:
                yield
            finally:
                leaving.cancel()

    return both


def warm_up(manager: Any, attendance: Attendance, server: Any, key: str, server_args: Any) -> bool:
    """Generate one token, so that the first person does not pay for it. Runs in a thread of SGLang's
    lifespan.

    Returns whether it worked; if not, the server ends and the host says why.
    """
    from sglang.srt.managers.tokenizer_manager import ServerStatus

    body = {
        "input_ids": [1, 2, 3],
        "sampling_params": {"temperature": 0, "max_new_tokens": 2},
        "stream": False,
    }
    request = urllib.request.Request(
        f"{server_args.url()}/generate",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    # never through a proxy: it is this process
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + WARM_UP_TIMEOUT_S
    while True:
        try:
            with opener.open(request, timeout=WARM_UP_TIMEOUT_S) as answer:
                answer.read()
            break
        except urllib.error.HTTPError as error:
            print(f"Warm-up failed: {error} {error.read()[:500]!r}", flush=True)
            server.should_exit = True
            return False
        except OSError as error:  # the server does not listen yet: SGLang starts this thread before it does
            if time.monotonic() > deadline:
                print(f"Warm-up failed: {error}", flush=True)
                server.should_exit = True
                return False
            time.sleep(CONNECT_RETRY_S)
    manager.server_status = ServerStatus.Up
    attendance.mark_ready()
    return True


class Signals:
    """In place of SGLang's handlers, which look every five seconds, and leave no word.

    SGLang sets them with the first request, and so it calls these with `manager`.
    """

    def __init__(self, attendance: Attendance, manager: object) -> None:
        self._attendance = attendance

    def sigterm_handler(self) -> None:
        self._attendance.drain()

    def running_phase_sigquit_handler(self) -> None:
        on_sigquit(signal.SIGQUIT, None)


def end_children() -> None:
    """End SGLang's processes and theirs; multiprocessing's resource tracker ends by itself, after the
    host."""
    workers = multiprocessing.active_children()
    descendants: list[psutil.Process] = []
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants.extend(psutil.Process(worker.pid).children(recursive=True))
        worker.terminate()
    for worker in workers:
        worker.join(CHILDREN_EXIT_S)
        if worker.is_alive():
            worker.kill()
    for descendant in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            descendant.kill()
