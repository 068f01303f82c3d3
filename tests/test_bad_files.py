"""What stands in people's folders and is no source code: each thing is left out with its reason, or is harmless."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import pytest
from index_service import client, isolate, repository, stop_service, until_symbol, write

from indexer.children.reading import FileToRead, decode_read, load, read_files
from indexer.files.listing import list_files


@pytest.fixture
async def service(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


GOOD = "def good():\n    pass\n"


def generated(root: Path) -> None:
    with (root / "generated.py").open("w") as file:
        for _ in range(500):
            file.write("x = [1, 2, 3]  # generated\n" * 4_000)


def minified(root: Path) -> None:
    write(root / "bundle.js", "function a(b){return b+1};" * 30_000)


def one_long_line_of_data(root: Path) -> None:
    write(root / "data.json", "[" + "1," * 300_000 + "1]")


def deep_brackets(root: Path) -> None:
    write(root / "deep.json", "[" * 40_000 + "]" * 40_000)
    write(root / "deep.py", "x = " + "(" * 5_000 + "1" + ")" * 5_000 + "\n")


def deep_blocks(root: Path) -> None:
    lines = [f"{' ' * depth}if x:" for depth in range(900)]
    write(root / "blocks.py", "\n".join(lines) + "\n" + " " * 900 + "pass\n")


def deep_folders(root: Path) -> None:
    write(root / ("d/" * 300) / "bottom.py", GOOD.replace("good", "at_the_bottom"))


def too_deep_for_a_path(root: Path) -> None:
    """More than a path of the system may have: it can only be made and removed step by step."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(root)
        for _ in range(60):
            Path("f" * 200).mkdir()
            os.chdir("f" * 200)
        Path("unreachable.py").write_text(GOOD)
    finally:
        os.fchdir(before)
        os.close(before)


def no_utf8(root: Path) -> None:
    write(root / "latin.py", "def gr\xfc\xdfe():\n    pass\n".encode("latin-1"))
    write(root / "utf16.py", "def f():\n    pass\n".encode("utf-16"))
    write(root / "broken.py", b"x = '\xff\xfe\x80'\n")


def nul(root: Path) -> None:
    write(root / "nul.py", b"x = 1\0\0\0\n")


def strange_names(root: Path) -> None:
    for name in (
        b"new\nline.py",
        b"tab\t.py",
        b"\xff\xfe.py",
        b"\x1b[31m.py",
        b" .py",
        b"'\".py",
        b"n" * 250 + b".py",
    ):
        with open(os.path.join(os.fsencode(root), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(GOOD.encode())


def no_files(root: Path) -> None:
    os.mkfifo(root / "pipe.py")
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(root)  # its path must be short
        try:
            bound.bind("socket.py")
        finally:
            os.chdir(before)
    if os.getuid() == 0:
        os.mknod(root / "endless.py", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero


def many_in_one_folder(root: Path) -> None:
    (root / "many").mkdir()
    for number in range(20_000):
        (root / f"many/f{number}.txt").touch()


def times_that_cannot_be(root: Path) -> None:
    for name, when in {"future.py": time.time() + 10**8, "past.py": 0, "before.py": -(10**8)}.items():
        write(root / name, GOOD.replace("good", name.removesuffix(".py")))
        os.utime(root / name, (when, when))


def closed(root: Path) -> None:
    write(root / "closed.py", GOOD)
    (root / "closed.py").chmod(0)


@pytest.mark.parametrize(
    ("make", "reasons", "symbols"),
    [
        (generated, {"generated.py": "larger than 1 MB"}, []),
        (minified, {"bundle.js": "minified or data"}, []),
        (one_long_line_of_data, {"data.json": "minified or data"}, []),
        (deep_brackets, {"deep.json": "minified or data"}, []),
        (deep_blocks, {}, []),
        (deep_folders, {}, ["at_the_bottom"]),
        (too_deep_for_a_path, {"f": "unreadable"}, []),
        (no_utf8, {"latin.py": "not UTF-8", "utf16.py": "binary", "broken.py": "not UTF-8"}, []),
        (nul, {"nul.py": "binary"}, []),
        (strange_names, {"\ufffd": "not UTF-8"}, []),
        (no_files, {}, []),
        (many_in_one_folder, {}, []),
        (times_that_cannot_be, {}, ["future", "past", "before"]),
        pytest.param(closed, {"closed.py": "unreadable: Permission denied"}, [],
                     marks=pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_git", [True, False])
async def test_it_is_left_out_with_its_reason_or_harmless(
    service, tmp_path, make, reasons, symbols, with_git
):
    root = tmp_path / "work"
    if with_git:
        repository(root, {"good.py": GOOD})
    else:
        write(root / "good.py", GOOD)
    make(root)
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert (status.state, status.error, status.watching) == ("ready", "", "events")
        for name in ("good", *symbols):
            assert (await connected.symbols(str(root), name=name)).definitions, name
        said = {it.path: it.reason for it in status.skipped_examples}
        for path, reason in reasons.items():
            assert any(it.startswith(path) and reason in why for it, why in said.items()), said
        # and it does not keep others from being followed
        write(root / "good.py", GOOD.replace("good", "better"))
        await until_symbol(connected, root, "better")
        if make is times_that_cannot_be:
            write(root / "future.py", GOOD.replace("good", "later"))
            await until_symbol(connected, root, "later")


def test_what_takes_a_files_place_after_it_was_listed_is_not_read(tmp_path):
    """Between the listing and the reading anything may happen."""
    write(tmp_path / "grown.py", "x = 1\n" * 200_000)
    write(tmp_path / "huge.py", "x = 1\n" * 2_000_000)
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    names = ["grown.py", "huge.py", "pipe.py", "link.py"]
    if os.getuid() == 0:
        os.mknod(tmp_path / "endless.py", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        names.append("endless.py")
    read = decode_read(read_files(str(tmp_path), [FileToRead(name, 10) for name in names], time_limit=False))
    assert {file.path: file.error.partition(":")[0] for file in read} == {
        "grown.py": "larger than 1 MB",
        "huge.py": "larger than 8 MB",
        **dict.fromkeys(names[2:], "unreadable"),
    }
    with pytest.raises(OSError, match="not a regular file"):
        load(tmp_path / "pipe.py")


def test_a_key_or_environment_file_is_not_even_opened(tmp_path):
    """A pipe would block, or be an error, if it were."""
    for name in (".env", "id_rsa", "server.pem", "prod.env"):
        os.mkfifo(tmp_path / name)
    listing = list_files(tmp_path)
    assert listing.files == [] and len(listing.skipped) == 4
