"""Writes dist/server, from which the extension sets Foreword up: the wheel, and one lock for each way to install it.

Run by `make vscode` with the interpreter of .venv, whose packages tell what needs what. The locks are those of `make
setup` less what only builders of Foreword use; `light.txt` is what the server needs without vectors and without a
model of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SERVER = HERE / "dist" / "server"
ENGINE = ("embed", "engine", "mcp")


def needed(name: str, extras: tuple[str, ...], known: set[tuple[str, str]]) -> None:
    """Adds to `known` every (package, extra) that `name` leads to, whatever the platform: a lock holds them all."""
    for text in requires_of(name):
        requirement = Requirement(text)
        if not wanted(requirement, extras):
            continue
        package = canonicalize_name(requirement.name)
        new = {(package, extra) for extra in ("", *requirement.extras)} - known
        if new:
            known |= new
            needed(package, tuple(requirement.extras), known)


def wanted(requirement: Requirement, extras: tuple[str, ...]) -> bool:
    """By its extra alone: markers of platforms and versions are pip's to judge when it installs."""
    named = re.findall(r"""extra\s*==\s*["']([^"']+)["']""", str(requirement.marker or ""))
    return not named or any(canonicalize_name(extra) in map(canonicalize_name, extras) for extra in named)


def requires_of(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []  # for another platform, or left out of the lock of machines without a GPU


def closure(*extras: str) -> set[str]:
    known: set[tuple[str, str]] = set()
    needed("foreword", extras, known)
    return {package for package, _ in known}


def development() -> set[str]:
    """What the dependency group `dev` leads to."""
    import tomllib

    group = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    known: set[tuple[str, str]] = set()
    for text in group:
        requirement = Requirement(text)
        known.add((canonicalize_name(requirement.name), ""))
        needed(requirement.name, tuple(requirement.extras), known)
    return {package for package, _ in known}


def entries(lock: Path) -> dict[str, str]:
    """Package → its lines with hashes."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.read_text().splitlines(keepends=True):
        if begins := re.match(r"[A-Za-z0-9][\w.-]*", line):
            name = canonicalize_name(begins.group())
        found[name] = found.get(name, "") + line
    return found


def main() -> None:
    shutil.rmtree(SERVER, ignore_errors=True)
    SERVER.mkdir(parents=True)
    build = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*build, "--wheel-dir", str(SERVER), str(ROOT)], check=True)
    engine, light = closure(*ENGINE), closure("mcp")
    left_out = development() - engine
    for tier in ("cpu", "gpu"):
        lock = entries(ROOT / "locks" / f"{tier}.txt")
        kept = "".join(text for name, text in lock.items() if name not in left_out)
        (SERVER / f"{tier}.txt").write_text(kept)
    lock = entries(ROOT / "locks" / "gpu.txt")
    (SERVER / "light.txt").write_text("".join(text for name, text in lock.items() if name in light))
    print(f"light.txt: {len(light & set(lock))} packages; left out of all: {', '.join(sorted(left_out))}")


if __name__ == "__main__":
    main()
