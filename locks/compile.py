"""Writes the two locks from pyproject.toml: gpu.txt as the resolver gives it, cpu.txt without GPU-only packages.

`make lock` runs it with uv in a throw-away environment. Both files carry hashes and are installed by plain pip
with --no-deps: the CPU set is incomplete on purpose, and pip would bring back what was left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
RESOLVE = [
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-annotate", "--no-header", "--extra", "embed", "--extra", "engine"),
    *("--extra", "mcp", "--group", "dev"),
    *("--constraint", str(LOCKS / "constraints.txt"), str(LOCKS.parent / "pyproject.toml")),
]


def requirements(lock: str) -> list[tuple[str, str]]:
    """(package name, its lines with hashes) for every requirement of a pip lock."""
    entries: list[tuple[str, str]] = []
    for line in lock.splitlines(keepends=True):
        if name := re.match(r"[A-Za-z0-9][\w.-]*", line):
            entries.append((name.group().lower(), line))
        elif entries:
            entries[-1] = (entries[-1][0], entries[-1][1] + line)
    return entries


def main() -> None:
    lock = subprocess.run(RESOLVE, check=True, capture_output=True, text=True).stdout
    patterns = [
        line.strip()
        for line in (LOCKS / "not-for-cpu.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    entries = requirements(lock)
    names = {name for name, _ in entries}
    unused = [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]
    if unused:
        sys.exit(f"not-for-cpu.txt names packages that the lock does not have: {', '.join(unused)}")
    (LOCKS / "gpu.txt").write_text("".join(text for _, text in entries))
    kept = [text for name, text in entries if not any(fnmatch(name, pattern) for pattern in patterns)]
    (LOCKS / "cpu.txt").write_text("".join(kept))
    print(f"gpu.txt: {len(entries)} packages, cpu.txt: {len(kept)}")


if __name__ == "__main__":
    main()
