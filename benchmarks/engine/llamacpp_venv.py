"""llama.cpp in a venv of its own: built once from the pinned source distribution with the machine's compiler."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import sys
from pathlib import Path

from benchmarks.machine_facts import cpu_flags
from benchmarks.targets import Say, TargetError
from benchmarks.venvs import BUILT, run_logged
from engine.paths import cache_folder

READY_VENV = "FOREWORD_BENCH_LLAMACPP_VENV"
"""Names a venv that holds llama-cpp-python already."""
REQUIREMENTS = Path(__file__).with_name("llamacpp-requirements.txt")
VERSION = "0.3.36"
NAME, LEAVE_OUT = "llama.cpp", "--without llamacpp"
GCC_AMX_MENDED = (13, 2)
"""Before it gcc compiles llama.cpp's AMX path for quantized weights into one that crashes (llama.cpp PR 26954)."""


async def ensure_venv(say: Say) -> Path:
    """The Python of the venv. Builds it where it is missing (5 to 15 minutes). Raises TargetError."""
    ready = os.environ.get(READY_VENV)
    if ready:
        python = Path(ready).expanduser() / "bin" / "python"
        if not python.exists():
            raise TargetError(f"llama.cpp: {READY_VENV} names {ready}, which has no bin/python")
        return python
    folder = cache_folder() / "bench" / f"llama-cpp-python-{VERSION}-py{platform.python_version()}"
    python, built = folder / "bin" / "python", folder / BUILT
    if built.exists():
        return python
    compilers = [name for name in ("c++", "g++", "clang++") if shutil.which(name)]
    if not compilers:
        raise TargetError(
            "llama.cpp: no C++ compiler here, so it cannot be built and is not measured. Install one "
            f"(Debian: apt install g++), or leave it out with {LEAVE_OUT}."
        )
    say(
        f"building llama-cpp-python {VERSION} once, with {compilers[0]}: 5 to 15 minutes; log in {folder}.log"
    )
    shutil.rmtree(folder, ignore_errors=True)
    log = folder.with_name(f"{folder.name}.log")
    folder.parent.mkdir(parents=True, exist_ok=True)
    await run_logged([sys.executable, "-m", "venv", str(folder)], log, NAME, LEAVE_OUT)
    gcc = await _gcc_version()
    flags = " ".join(_without(cpu_flags(), gcc))
    await run_logged(
        [
            *(str(python), "-I", "-m", "pip", "install", "--verbose", "--disable-pip-version-check"),
            *("--require-hashes", "--no-binary", "llama-cpp-python", "--requirement", str(REQUIREMENTS)),
        ],
        log,
        NAME,
        LEAVE_OUT,
        {"CFLAGS": flags, "CXXFLAGS": flags} if flags else {},
    )
    built.write_text(f"{VERSION} {flags}\n", encoding="utf-8")
    return python


def _without(cpu: set[str], gcc: tuple[int, ...] | None) -> list[str]:
    """What a good build leaves out: llama.cpp's attention in native half precision is four times slower than in
    single (head size 64), and see GCC_AMX_MENDED."""
    left_out: list[str] = []
    if "avx512_fp16" in cpu:
        left_out.append("-mno-avx512fp16")
    if "amx_int8" in cpu and gcc is not None and gcc < GCC_AMX_MENDED:
        left_out += ["-mno-amx-int8", "-mno-amx-bf16", "-mno-amx-tile"]
    return left_out


async def _gcc_version() -> tuple[int, ...] | None:
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    process = await asyncio.create_subprocess_exec(
        gcc, "-dumpfullversion", "-dumpversion", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return tuple(int(part) for part in re.findall(rb"\d+", said)) or None
