"""The engine host: one detached process per user and model that owns SGLang, its weights and its KV pool.

Run as `python -I -m engine.hosting.host --model SHORT [-- SGLANG_ARGUMENT…]`; it takes the model's lock for life,
keeps `engine-….json` true, and leaves when nobody needs it. A second host of the same model and version ends
at once with EXIT_LOCK_HELD.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from engine.hosting.hostfile import (
    EngineInfo,
    LockHeldError,
    State,
    foreword_version,
    json_path,
    lock_path,
    stem,
    still_in_place,
    take_lock,
    write_info,
)
from engine.paths import kernels_folder, logs_folder, runtime_folder
from engine.tied import PARENT_PID, die_with_parent

EXIT_FAILED = 1
EXIT_LOCK_HELD = 11
IDLE_EXIT_S = 30 * 60
"""Memory is given back after half an hour without a request; coming back costs one start."""
KEY_BYTES = 32
PROGRESS_INTERVAL_S = 0.2
SOCKET_PATH_LIMIT = 80
"""A Unix socket's path may have 107 bytes; SGLang adds a name of some 12, and some spare."""

if __name__ == "__mp_main__":  # such a child: it imports this module first, long before SGLang
    die_with_parent(int(os.environ[PARENT_PID]))
    os.environ[PARENT_PID] = str(os.getpid())  # for children of its own


class Record:
    """The host's `engine-….json`, changed as the host goes along, for as long as its lock is in place."""

    def __init__(self, info: EngineInfo, lock: IO[bytes]) -> None:
        self.info = info
        self._lock = lock
        # once: the temporary folder, and so others, may move below
        self._path = json_path(info.model, info.version)
        self._lock_path = lock_path(info.model, info.version)
        self._written_s = 0.0
        self._write()

    @property
    def lock_file(self) -> int:
        return self._lock.fileno()

    def still_known(self) -> bool:
        """Whether callers can find this host: the runtime folder may have been emptied, and have a successor
        in it."""
        return still_in_place(self._lock, self._lock_path)

    def remove(self) -> None:
        if self.still_known():
            self._path.unlink(missing_ok=True)

    def say(self, state: State, reason: str = "") -> None:
        self.info = msgspec.structs.replace(self.info, state=state, reason=reason, stage="", done=0, total=0)
        self._write()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note progress with the weights; fast repetitions of one stage are left out."""
        since_s = time.monotonic() - self._written_s
        if stage == self.info.stage and done < total and since_s < PROGRESS_INTERVAL_S:
            return
        self.info = msgspec.structs.replace(
            self.info, state="downloading", stage=stage, done=done, total=total
        )
        self._write()

    def address(self, url: str, device: str, context_tokens: int) -> None:
        self.info = msgspec.structs.replace(self.info, url=url, device=device, context_tokens=context_tokens)
        self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        if self.still_known():
            write_info(self.info, self._path)


def main(arguments: list[str] | None = None) -> int:
    """Take the lock, then be the host; the exit code says how it ended."""
    signal.signal(signal.SIGTERM, end_early)
    os.environ[PARENT_PID] = str(os.getpid())
    options = parse(arguments)
    from engine.profiles import find

    profile = find(options.model)
    version = foreword_version()
    try:
        lock = take_lock(profile.short, version)
    except LockHeldError as error:
        print(error, file=sys.stderr)
        return EXIT_LOCK_HELD
    with lock:
        log_to(logs_folder() / f"engine-{profile.short}.log")
        record = Record(
            EngineInfo(
                url="",
                key=secrets.token_urlsafe(KEY_BYTES),
                pid=os.getpid(),
                started_at=time.time(),
                version=version,
                model=profile.short,
                model_hash=profile.weights.sha256 if profile.weights else "",
                device=options.device or "",
                state="loading",  # until there is something to fetch: see `Record.progress`
            ),
            lock,
        )
        with contextlib.chdir(runtime_folder()), failures_told(record):
            run(record, options)
        record.remove()
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; what stands after `--` is SGLang's, and comes out as `sglang`."""
    given = sys.argv[1:] if arguments is None else arguments
    ours, sglang = given, list[str]()
    if "--" in given:
        at = given.index("--")
        ours, sglang = given[:at], given[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="python -I -m engine.hosting.host",
        description=__doc__,
        epilog="What follows `--` is appended to SGLang's command line; its parser takes the last of two.",
    )
    parser.add_argument("--model", required=True, help="short or full name of a profile")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="instead of what the machine suggests")
    parser.add_argument("--idle-exit-s", type=float, default=IDLE_EXIT_S, help="leave when idle for so long")
    parser.add_argument(
        "--folder", type=Path, help="serve these weights under the model's name; nothing is downloaded"
    )
    parser.add_argument("--window", type=int, help="tokens, instead of the model's own window")
    options = parser.parse_args(ours)
    if options.folder is not None:
        options.folder = options.folder.resolve()  # the host leaves the folder that it was started in
    options.sglang = sglang
    return options


def run(record: Record, options: argparse.Namespace) -> None:
    """Fetch weights, load the model, serve until unneeded."""
    from engine.cpu import EIGHT_BITS
    from engine.cpu.facts import FACTS_FILE, FACTS_PATH
    from engine.hosting.launch import COMPARABLE_LOGPROBS, cpu_environment, sglang_arguments
    from engine.hosting.serving import Serving, bind_local_port, serve
    from engine.hosting.steps import StepPage
    from engine.models.folder_profile import profile_of_folder
    from engine.models.yarn import is_extended
    from engine.profiles import choose, find, measure
    from engine.scheduler.turns import EDIT
    from engine.weights.weights import ensure

    machine = measure()
    profile = find(options.model)
    if options.folder is not None:
        profile = profile_of_folder(profile, options.folder)
    is_extended(profile, options.window)  # refused here, before anything large is fetched
    device = options.device or choose(machine, profile).device
    bound = bind_local_port()
    folder = options.folder or ensure(profile, record.progress)
    arguments = [
        *sglang_arguments(profile, folder, device, machine, window=options.window),
        *("--default-priority-value", str(EDIT)),  # SGLang's own default is the lowest number there is
        *options.sglang,
    ]
    if device == "cpu":
        threads = os.environ.get("FOREWORD_THREADS")
        os.environ.update(cpu_environment(machine.cores, threads, kernels_folder()))
        if profile.eight_bits:
            os.environ[EIGHT_BITS] = "1"
    if profile.weights is not None or options.folder is not None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # the weights are here: nothing may wait for a hub
    os.environ.update(COMPARABLE_LOGPROBS)
    # torch.distributed listens, though its group has one member
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    context = int(last_value(arguments, "--context-length"))
    record.address(f"http://127.0.0.1:{bound.getsockname()[1]}", device, context)
    record.say("loading")
    with private_scratch(stem(record.info.model, record.info.version)) as scratch:
        os.environ[FACTS_PATH] = str(scratch / FACTS_FILE)
        page = scratch / "steps"
        StepPage.create(page)
        serve(
            Serving(
                arguments=arguments,
                key=record.info.key,
                bound=bound,
                page=page,
                idle_exit_s=options.idle_exit_s,
                device=device,
                lock_file=record.lock_file,
                on_ready=lambda: record.say("ready"),
                still_known=record.still_known,
                on_draining=lambda: record.say("draining"),
                on_child_failure=lambda: child_failed(record),
            )
        )
    if record.info.state == "loading":
        raise RuntimeError("SGLang came up but its first generation failed; its error stands above.")


def last_value(arguments: list[str], option: str) -> str:
    """What SGLang's parser takes for `option`: the last of several, `--option VALUE` or `--option=VALUE`."""
    value = ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == option:
            value = following
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value


def end_early(_signal: int, _frame: object) -> NoReturn:
    """Told to end before it serves (`serving.handle_signals` takes over then): children end on the way out."""
    raise SystemExit("The engine was stopped before it was ready.")


def child_failed(record: Record) -> NoReturn:
    """Say so and go, at once: the kernel ends the other children with this process."""
    doing = "while it loaded the model" if record.info.state == "loading" else "while it served"
    record.say("failed", f"A process of SGLang died {doing}. Its last words are in the engine's log.")
    print(record.info.reason, flush=True)
    os._exit(EXIT_FAILED)


@contextlib.contextmanager
def failures_told(record: Record) -> Generator[None]:
    """Whatever ends the host early is written where the waiting callers look, and raised on."""
    try:
        yield
    except BaseException as error:
        told = error.strerror if isinstance(error, OSError) and not error.filename else str(error)
        record.say("failed", told or type(error).__name__)
        raise


@contextlib.contextmanager
def private_scratch(name: str) -> Generator[Path]:
    """A folder that only this user can enter, for the step page and for the sockets between SGLang's
    processes.

    SGLang puts those sockets into the shared temporary folder, and what comes in on them is unpickled. The
    name is always the same, so that a host which was killed leaves nothing for good.
    """
    folder = runtime_folder() / f"{name}.run"
    if len(os.fsencode(folder)) > SOCKET_PATH_LIMIT:
        folder = Path(tempfile.gettempdir()) / f"foreword-{os.getuid()}-{abs(hash_of(str(folder))):x}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)  # fails where somebody else made it
    made = folder.stat()
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        if folder.exists() and os.path.samestat(folder.stat(), made):  # it may be a successor's by now
            shutil.rmtree(folder, ignore_errors=True)


def hash_of(text: str) -> int:
    """A short hash that is the same in every process."""
    import zlib

    return zlib.crc32(text.encode())


def log_to(path: Path) -> None:
    """Send all that this process and its children print to `path`; the last host's log is kept beside it."""
    if path.exists():
        path.replace(path.with_suffix(".previous.log"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
