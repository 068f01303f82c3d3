"""What is never indexed and never put into a prompt, and why.

Three sources: the defaults below, by name and size; the root's `.forewordignore` (gitignore syntax), which
adds to them; and the content itself. A pattern `!path/to/file` in `.forewordignore` takes that one path (or
folder) back in, defaults included; with wildcards it only takes back what `.forewordignore` itself left out,
so that no broad pattern lets secrets through by accident.

Keys and credentials are judged by more than the path below the root: by the folders above it (`~/.aws` opened
as a root) and, for a single file, by where links lead."""

from __future__ import annotations

import errno
import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pathspec

IGNORE_FILE = ".forewordignore"

MAX_BYTES = 1_000_000
"""Parsing holds the interpreter's lock for 0.3 s per MB, and what is larger is nearly always generated or
data."""

MAX_REINCLUDED_BYTES = 8_000_000
"""Even what is asked for by name must be parsed, cut and stored within seconds."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SECRET_NAMES = _set(
    "id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk credentials .credentials .netrc _netrc "
    ".npmrc .pypirc .htpasswd .pgpass .my.cnf .git-credentials .dockercfg .boto .s3cfg kubeconfig "
    ".vault-token"
)
_SECRET_STEMS = _set("credentials credential secrets secret client_secret service-account service_account")
_SECRET_STEM_EXTENSIONS = _set("json yaml yml toml ini env cfg conf properties txt xml")
_SECRET_EXTENSIONS = _set(
    "pem key p12 pfx p8 pk8 der jks keystore bks kdb kdbx ppk gpg pgp age tfstate tfvars ovpn keytab"
)
_SECRET_ENDINGS = (".tfvars.json",)
_SECRET_FOLDERS = _set(".ssh .gnupg .aws .kube .azure .password-store")
_SECRET_PATHS = ("/.docker/config.json", "/.config/gh/hosts.yml")
_SECRET_ROOTS = _SECRET_FOLDERS | _set(".docker")
"""Of folders that are a root or above one: a `.docker` within a project holds what everybody may read."""

_COPY = re.compile(r"(?:~|\.(?:bak|backup|orig|old|sw[nop]))$")
"""How editors and people name the copy of a file that stays beside it."""

_TOOL_FOLDERS = _set(
    ".git .hg .svn .jj node_modules bower_components __pycache__ .venv .tox .nox .mypy_cache "
    ".pytest_cache .ruff_cache .hypothesis .eggs .gradle .terraform .next .nuxt .svelte-kit .parcel-cache "
    ".turbo .yarn .pnpm-store .cache .idea .vs .ipynb_checkpoints site-packages"
)

_MINIFIED_ENDINGS = (
    ".min.js",
    ".min.mjs",
    ".min.cjs",
    ".min.css",
    ".bundle.js",
    ".js.map",
    ".css.map",
    ".mjs.map",
)

_BINARY_EXTENSIONS = _set(
    # pictures, sound, film, fonts
    "png jpg jpeg gif bmp ico icns tif tiff webp avif heic psd ai eps xcf mp3 wav flac ogg m4a mp4 mkv "
    "avi mov webm ttf otf woff woff2 eot "
    # archives and packages
    "zip gz tgz bz2 xz zst lz4 7z rar tar jar war ear whl egg deb rpm apk ipa dmg iso cab nupkg vsix "
    "crate "
    # made by compilers
    "exe dll so dylib a lib o obj pdb class pyc pyo pyd wasm node rlib rmeta bc dex hi beam "
    # documents and data
    "pdf doc docx xls xlsx ppt pptx odt ods odp sqlite sqlite3 db mdb parquet arrow feather avro orc npy "
    "npz pkl pickle h5 hdf5 mat rdata rds bin dat safetensors gguf onnx pt pth ckpt tflite pb mo "
    # models and games
    "blend fbx glb stl unitypackage"
)

_PRIVATE_KEY = re.compile(
    rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]{0,300}?[A-Za-z0-9+/=]{60}"
)
"""A key's head and, after at most a few header lines, a line of base64: code that only names the head is no
key."""

MAX_LINE_BYTES = 50_000
MAX_AVERAGE_LINE_BYTES = 1_000
"""People write lines below 200 characters and paragraphs below 1,000; minifiers write one of all."""

_AVERAGE_COUNTS_FROM_BYTES = 20_000
"""Below this size a few long lines are no harm."""


class Exclusions:
    """The defaults and the rules of one root's `.forewordignore`."""

    def __init__(self, patterns: str = "", root: Path | None = None) -> None:
        lines = patterns.splitlines()
        rules = pathspec.GitIgnoreSpec.from_lines(lines)
        self._rules = rules if any(pattern.include is not None for pattern in rules.patterns) else None
        taken_back = [line.strip() for line in lines if line.startswith("!")]
        self._taken_back = [line for line in taken_back if not re.search(r"[*?\[]", line)]
        self._by_name = pathspec.GitIgnoreSpec.from_lines([line[1:] for line in self._taken_back])
        self._above = _lowered(root) if root is not None else []
        self._within_secrets = _why_in_secrets(root) if root is not None else None

    @classmethod
    def load(cls, root: Path) -> Exclusions:
        """Of this root as it is on disk now. Raises OSError when `.forewordignore` is there and cannot be
        read."""
        path = root / IGNORE_FILE
        try:
            if path.exists() and not path.is_file():  # reading a pipe would never end
                raise OSError(errno.EINVAL, "not a regular file", str(path))
            return cls(path.read_text("utf-8", "replace"), root)
        except FileNotFoundError:
            return cls(root=root)

    def why_excluded(self, relative: str, size: int | None = None) -> str | None:
        """Why this file is left out, None if it is not. `relative`: POSIX path; `size` in bytes if known."""
        if self._rules and self._rules.check_file(relative).include:
            return f"named in {IGNORE_FILE}"
        if not self.reincludes(relative):
            return self._within_secrets or why_excluded(relative, size, self._above)
        return _too_large(size, MAX_REINCLUDED_BYTES)

    def reincludes(self, relative: str) -> bool:
        """Whether `.forewordignore` takes this path, or a folder above it, back in by name."""
        if not self._taken_back or self._rules is None:
            return False
        return self._rules.check_file(relative).include is False and self._by_name.match_file(relative)

    def why_folder_excluded(self, relative: str) -> str | None:
        """Why nothing below this folder needs a look, None if something may."""
        if any(pattern.find(PurePosixPath(relative).name) >= 0 for pattern in self._taken_back):
            return None
        if self._rules and self._rules.check_file(relative + "/").include:
            return f"named in {IGNORE_FILE}"
        return _why_folders_excluded(relative.lower().split("/"))


def why_excluded(relative: str, size: int | None = None, above: Sequence[str] = ()) -> str | None:
    """Why a file is left out by default: its POSIX path relative to the root, its size in bytes if known, and
    the folders above the root in lower case, which only count for what is secret."""
    *folders, name = relative.lower().split("/")
    if reason := _why_secret([*above, *folders], name) or _why_folders_excluded(folders):
        return reason
    if name.endswith(_MINIFIED_ENDINGS):
        return "minified or generated"
    stem, _, extension = name.rpartition(".")
    if stem and extension in _BINARY_EXTENSIONS:
        return "binary"
    return _too_large(size, MAX_BYTES)


def why_file_excluded(path: Path, root: Path) -> str | None:
    """The same for one file on disk, with `.forewordignore` of its root; for the server, which asks about the
    file being edited. A path outside the root is excluded, and so is everything where `.forewordignore` cannot
    be read. A link is judged by its own name and by where it leads."""
    path, root = Path(os.path.abspath(path)), Path(os.path.abspath(root))  # noqa: PTH100 - without links
    if not path.is_relative_to(root):
        return f"outside {root}"
    try:
        rules = _loaded(root, _stamp(root / IGNORE_FILE))
    except OSError as failed:
        return f"{IGNORE_FILE} cannot be read: {failed.strerror or failed}"
    relative = path.relative_to(root).as_posix()
    try:
        size = path.stat().st_size
    except OSError:  # not saved yet: only its name counts
        size = None
    reason = rules.why_excluded(relative, size)
    real, real_root = Path(os.path.realpath(path)), Path(os.path.realpath(root))
    if reason or real == path:
        return reason
    inside = real.is_relative_to(real_root)
    if inside:
        relative = real.relative_to(real_root).as_posix()
        reason = rules.why_excluded(relative, size)
        if reason or rules.reincludes(relative):
            return reason
    *folders, name = _lowered(real)
    return _why_in_secrets(real_root if inside else real.parent) or _why_secret(folders, name)


def why_content_excluded(data: bytes, *, reincluded: bool = False) -> str | None:
    """Why a file is left out for what is in it. `reincluded`: taken back in by name, so only what cannot be
    text is refused."""
    if b"\0" in data:
        return "binary"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    if reincluded:
        return None
    if b"PRIVATE KEY" in data and _PRIVATE_KEY.search(data):
        return "holds a private key"
    if len(data) < _AVERAGE_COUNTS_FROM_BYTES:
        return None
    lines = data.split(b"\n")
    longest = max(map(len, lines))
    if longest > MAX_LINE_BYTES:
        return f"minified or data (has a line of more than {MAX_LINE_BYTES:,} bytes)"
    if len(data) / len(lines) > MAX_AVERAGE_LINE_BYTES:
        return f"minified or data (lines of more than {MAX_AVERAGE_LINE_BYTES:,} bytes on average)"
    return None


def _too_large(size: int | None, limit: int) -> str | None:
    return f"larger than {limit // 1_000_000} MB" if size is not None and size > limit else None


_CREDENTIALS = "key or credentials file"


def _why_in_secrets(folder: Path) -> str | None:
    """Whether all that is in this folder is secret for the folders above it."""
    return None if _SECRET_ROOTS.isdisjoint(_lowered(folder)) else _CREDENTIALS


def _lowered(path: Path) -> list[str]:
    return path.as_posix().lower().split("/")


def _why_secret(folders: list[str], name: str) -> str | None:
    """Whether a file, folders and name in lower case, holds secrets or is a copy of one that does."""
    if not _SECRET_FOLDERS.isdisjoint(folders):
        return _CREDENTIALS
    return next(filter(None, (_why_secret_name(folders, original) for original in _originals(name))), None)


def _originals(name: str) -> Iterator[str]:
    """The name itself and, if it is that of a copy, what it is a copy of."""
    yield name
    while copy := _COPY.search(name):
        name = name[: copy.start()]
        yield name
        if name.startswith("."):  # vim hides what it swaps: `.name.swp`
            yield name[1:]


def _why_secret_name(folders: list[str], name: str) -> str | None:
    stem, dot, extension = name.rpartition(".")
    if name in (".env", ".envrc") or name.startswith((".env.", ".env-", ".env_")) or extension == "env":
        return "environment file, may hold secrets"
    if (
        name in _SECRET_NAMES
        or (dot and stem and extension in _SECRET_EXTENSIONS)
        or (stem in _SECRET_STEMS and extension in _SECRET_STEM_EXTENSIONS)
        or name.endswith(_SECRET_ENDINGS)
        or "/".join(["", *folders, name]).endswith(_SECRET_PATHS)
    ):
        return _CREDENTIALS
    return None


def _why_folders_excluded(folders: list[str]) -> str | None:
    for folder in folders:
        if folder in _TOOL_FOLDERS:
            return f"in {folder}: dependencies, caches or data of tools"
        if folder in _SECRET_FOLDERS:
            return _CREDENTIALS
    return None


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=64)
def _loaded(root: Path, _stamp: int) -> Exclusions:
    return Exclusions.load(root)
