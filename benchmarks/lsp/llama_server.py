"""llama.cpp's own server: compiled once from the pinned sources, over the libraries that pip built of them."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from benchmarks.archives import Archive, ArchiveError, unpack
from benchmarks.engine.llamacpp_venv import VERSION, ensure_venv
from benchmarks.targets import Say, TargetError
from benchmarks.venvs import run_logged
from engine.paths import cache_folder

READY_SERVER = "FOREWORD_BENCH_LLAMA_SERVER"
"""Names a llama-server that is there already."""
NAME, LEAVE_OUT = "llama.cpp", "--without llamavim"
LLAMA_CPP = "vendor/llama.cpp"
SOURCES = Archive(
    "llama_cpp_python",
    VERSION,
    "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    kept=tuple(
        f"{LLAMA_CPP}/{each}"
        for each in ("tools/server", "tools/mtmd", "tools/ui", "common", "include", "ggml/include", "vendor")
    ),
)
"""The same that `benchmarks/engine/llamacpp-requirements.txt` pins."""
INCLUDED = (
    *("tools/server", "tools/mtmd", "common", "include", "ggml/include", "vendor"),
    *("vendor/cpp-httplib", "vendor/sheredom", "vendor/nlohmann", "vendor/hash"),
)
LIBRARIES = ("libllama-common.so", "libmtmd.so", "libllama.so", "libggml.so", "libggml-base.so")
"""What the server's own dozen files are linked with: what computes is the code of `foreword bench engine`."""
DEFINED = ("-DLLAMA_SUBPROCESS",)
"""As llama.cpp's CMakeLists.txt sets it by default for everything that includes its headers."""
TEMPLATE = {
    "#cmakedefine LLAMA_UI_HAS_ASSETS 1": "",
    "@N_ASSETS@": "0",
    "@ASSET_ARRAYS@": "",
    "@USE_GZIP@": "false",
}
"""Of tools/ui: no page for a browser."""


async def ensure_server(say: Say) -> Path:
    """The executable. Builds it where it is missing: 3 minutes, and once 5 to 15 more for the libraries. Raises
    TargetError where it cannot be had."""
    ready = os.environ.get(READY_SERVER)
    if ready:
        server = Path(ready).expanduser()
        if not server.is_file():
            raise TargetError(f"llama.cpp: {READY_SERVER} names {ready}, which is no file")
        return server
    server = cache_folder() / "bench" / f"llama-server-{VERSION}"
    log = server.with_name(f"{server.name}.log")
    if server.exists():
        with suppress(TargetError):  # its libraries have gone: it is made anew
            await run_logged([str(server), "--version"], log, NAME, LEAVE_OUT)
            return server
    libraries = _libraries(await ensure_venv(say))
    found = (shutil.which(each) for each in ("c++", "g++", "clang++"))
    compiler = next((each for each in found if each), None)
    if compiler is None:
        raise TargetError(
            "llama.cpp: no C++ compiler here, so that its server cannot be built. Install one (Debian: apt install "
            f"g++), name a server with {READY_SERVER}, or leave it out with {LEAVE_OUT}."
        )
    say(f"building llama.cpp's server once, with {compiler}: 3 minutes; log in {log}")
    with tempfile.TemporaryDirectory(prefix="foreword-llama-server-") as folder:
        try:
            sources = await asyncio.to_thread(unpack, SOURCES, Path(folder)) / LLAMA_CPP
        except ArchiveError as failed:
            raise TargetError(f"llama.cpp: {failed}") from failed
        await _build(compiler, sources, libraries, server, log)
    return server


def _libraries(python: Path) -> Path:
    """Where pip has put what the server is linked with. Raises TargetError."""
    found = sorted(python.parent.parent.glob("lib/python*/site-packages/lib/libllama-common.so"))
    if not found:
        raise TargetError(
            f"llama.cpp: {python.parent.parent} has no libllama-common.so, with which its server is linked"
        )
    return found[0].parent


async def _build(compiler: str, sources: Path, libraries: Path, server: Path, log: Path) -> None:
    made = sources / "made"
    made.mkdir()
    for name in ("ui.h", "ui.cpp"):
        text = (sources / "tools" / "ui" / f"{name}.in").read_text()
        for before, after in TEMPLATE.items():
            text = text.replace(before, after)
        (made / name).write_text(text)
    folders = [f"-I{each}" for each in (made, sources, *(sources / name for name in INCLUDED))]
    shared = (libraries / LIBRARIES[0]).read_bytes()
    ssl = ("-DCPPHTTPLIB_OPENSSL_SUPPORT",) if b"libssl.so" in shared else ()
    log.parent.mkdir(parents=True, exist_ok=True)
    waiting = [*sorted((sources / "tools" / "server").glob("*.cpp")), made / "ui.cpp"]
    objects = [made / f"{each.stem}.o" for each in waiting]
    slots = asyncio.Semaphore(os.cpu_count() or 1)

    async def compiled(source: Path, target: Path) -> None:
        command = [compiler, "-std=c++17", "-O2", "-fPIC", "-w", "-pthread", *DEFINED, *ssl, *folders]
        async with slots:
            await run_logged([*command, "-c", str(source), "-o", str(target)], log, NAME, LEAVE_OUT)

    try:
        async with asyncio.TaskGroup() as group:
            for source, target in zip(waiting, objects, strict=True):
                group.create_task(compiled(source, target))
    except* TargetError as failed:
        raise failed.exceptions[0] from None
    linked = [compiler, "-pthread", *(str(each) for each in objects), "-o", str(made / "llama-server")]
    linked += [*(str(libraries / each) for each in LIBRARIES), f"-Wl,-rpath,{libraries}"]
    linked += [*(("-lssl", "-lcrypto") if ssl else ()), f"-Wl,-rpath-link,{libraries}"]
    await run_logged(linked, log, NAME, LEAVE_OUT)
    shutil.move(made / "llama-server", server)
