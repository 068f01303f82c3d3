"""The repositories that lines are cut from: by language, each held by a hash."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.archives import HTTPX, NETWORKX, Archive, unpack
from benchmarks.context.case import Language

CLICK = Archive("click", "8.1.8", "ed53c9d8990d83c2a27deae68e4ee337473f6330c040a31d4225c9574d16096a")
RICH = Archive("rich", "13.9.4", "439594978a49a09530cff7ebc4b5c7103ef57baf48d5ea3184f21d9a2befa098")
DEVELOPMENT = (CLICK, HTTPX, RICH, NETWORKX)
"""On which the ranking may be tuned; all others are held back."""

RXJS = Archive(
    "rxjs",
    "7.8.1",
    "c532167725ab7d085123209156c93cef22f2479cb9c8527060f1cd903aa9d149",
    "npm",
    ("src", "package.json", "tsconfig.json", "README.md"),
)
AJV = Archive(
    "ajv",
    "8.17.1",
    "f09dae78b8cc984dbf178eba92a7b19bff9e5f7c990508f3af0bf8f118770308",
    "npm",
    ("lib", "package.json", "README.md"),
)
COG = Archive("cog", "0.14.0", "c8fa8c5b12f8c36f15ee8a2ff77ba6b326c14e3cb4f89e51da8d0786dc8e8c18")
"""The command in Go stands beside the Python library."""
FEAST = Archive(
    "feast",
    "0.40.0",
    "7b5a9c04345cfc3ee6703324b87d2ba6506d9809f08f26627b3a8189ee5a6ebb",
    "pypi",
    ("go", "go.mod"),
)
"""Its feature server in Go."""

ARCHIVES: dict[Language, tuple[Archive, ...]] = {
    "python": DEVELOPMENT,
    "typescript": (RXJS, AJV),
    "go": (COG, FEAST),
}


class Source(msgspec.Struct, frozen=True):
    """One repository on this machine, and in which of its languages lines are cut."""

    name: str
    folder: Path
    language: Language


def unpacked(archive: Archive, language: Language, folder: Path) -> Source:
    """Raises ArchiveError."""
    return Source(archive.package, unpack(archive, folder), language)
