"""The index service as its clients see it: real processes, real sockets, real repositories."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import struct
import tempfile
from pathlib import Path

import psutil
import pytest
from index_service import client, gone, isolate, kill, repository, stop_service, until, until_symbol, write

from indexer import launch, paths
from indexer.client import IndexClient, IndexServiceError, IndexUnavailable
from indexer.messages import (
    Call,
    Failure,
    Hello,
    OpenRoot,
    PackRequest,
    ProgressNote,
    Reply,
    Search,
    TokenizerRef,
    Welcome,
    decode_outbound,
    frame,
    read_frame,
)
from indexer.roots.roots import why_no_project
from indexer.store import schema
from indexer.store.store import Store

FILES = {
    "shapes/area.py": 'def area_of_circle(radius):\n    """The area."""\n    return 3.14 * radius**2\n',
    "shapes/use.py": "from shapes.area import area_of_circle\n\nprint(area_of_circle(2))\n",
    "web/app.ts": "export function renderPage(title: string): string {\n  return title;\n}\n",
    "notes.md": "# Notes\n\nHow the zeppelin works.\n",
    "secret/.env": "PASSWORD=correct-horse-battery\n",
}


@pytest.fixture(autouse=True)
async def _own_folders(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


async def test_indexes_and_answers(tmp_path):
    root = repository(tmp_path / "work", FILES)
    async with client() as connected:
        notes = []
        status = await connected.open_root(str(root), wait=True, on_progress=notes.append)
        assert (status.state, status.files, status.watching, status.error) == ("ready", 4, "events", "")
        assert status.skipped == {"environment file, may hold secrets": 1}
        assert status.symbols >= 2 and status.references >= 1 and status.chunks >= 4
        assert status.source_bytes == sum(len(it) for path, it in FILES.items() if ".env" not in path)
        assert {note.stage for note in notes} >= {"listing", "parsing", "writing"}
        assert [note.total for note in notes if note.stage == "parsing"][-1] == 4

        found = (await connected.symbols(str(root), name="area_of_circle")).definitions
        assert [(it.path, it.start_line) for it in found] == [("shapes/area.py", 0)]
        assert [it.name for it in (await connected.symbols(str(root), path="web/app.ts")).definitions] == [
            "renderPage"
        ]
        references = (await connected.references(str(root), "area_of_circle")).references
        assert ("shapes/use.py", 2) in [(it.path, it.line) for it in references]
        assert (await connected.search(str(root), "render page")).hits[0].path == "web/app.ts"
        assert (await connected.search(str(root), "zeppelin")).hits[0].path == "notes.md"
        assert not (await connected.search(str(root), "correct-horse-battery")).hits


async def test_pack_brings_the_definition_that_is_used(tmp_path):
    root = repository(tmp_path / "work", FILES)
    path = root / "shapes/use.py"
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        request = PackRequest(str(path), path.read_text(), 2, 6, 2000, TokenizerRef())
        pack = await connected.pack(request)
        assert (pack.relative_path, pack.root, pack.repo_name) == ("shapes/use.py", str(root), "work")
        assert any("def area_of_circle" in segment.text for segment in pack.segments)
        assert all(segment.path != "shapes/use.py" for segment in pack.segments)


async def test_unsaved_text_stands_at_once_and_dies_with_its_connection(tmp_path):
    root = repository(tmp_path / "work", FILES)
    path = root / "shapes/area.py"
    async with client() as connected, client() as other:
        await connected.open_root(str(root), wait=True)
        await other.open_root(str(root), wait=True)
        await connected.overlay(str(path), "def before_it_was_opened_anew():\n    pass\n", 7)
        await connected.overlay(str(path), "def area_of_square(side):\n    return side**2\n", 1)
        await connected.overlay(str(root / "new.py"), "def not_saved_yet():\n    pass\n", 1)
        await connected.overlay(str(root / ".env"), "def leaked():\n    pass\n", 1)
        assert (await connected.symbols(str(root), name="area_of_square")).definitions
        assert (await connected.symbols(str(root), name="not_saved_yet")).definitions
        for name in ("area_of_circle", "before_it_was_opened_anew", "leaked"):
            assert not (await connected.symbols(str(root), name=name)).definitions, name
        hits = (await connected.search(str(root), "area_of_circle")).hits
        assert "shapes/area.py" not in [hit.path for hit in hits]
        assert (await other.symbols(str(root), name="area_of_circle")).definitions
        await connected.overlay(str(path), None)
        assert (await connected.symbols(str(root), name="area_of_circle")).definitions


async def test_a_question_that_follows_an_unsaved_text_sees_it(tmp_path):
    root = repository(tmp_path / "work", FILES)
    (tmp_path / "link").symlink_to(root)
    path = tmp_path / "link/shapes/area.py"
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        for text in (
            "def first():\n    pass\n",
            "def second():\n    pass\n",
            None,
            "def third():\n    pass\n",
        ):
            name = text.split("(")[0].removeprefix("def ") if text else "area_of_circle"
            _, _, found = await asyncio.gather(
                connected.overlay(str(path), "def too_early():\n    pass\n"),
                connected.overlay(str(path), text),
                connected.symbols(str(root), path="shapes/area.py"),
            )
            assert [it.name for it in found.definitions] == [name]
        await connected.overlay("/no\0path.py", "def nowhere():\n    pass\n")
        assert [
            it.name for it in (await connected.symbols(str(root), path="shapes/area.py")).definitions
        ] == ["third"]


@pytest.mark.parametrize("failed", [ValueError("the bar is gone"), BrokenPipeError("the terminal is gone")])
async def test_a_listener_that_fails_ends_its_own_call_alone(tmp_path, failed):
    root = repository(tmp_path / "work", FILES)

    def listen(note: ProgressNote) -> None:
        raise failed

    async with client() as connected, asyncio.timeout(20):
        with pytest.raises(type(failed), match="is gone"):
            await connected.open_root(str(root), wait=True, on_progress=listen)
        assert connected.connected
        assert (await connected.open_root(str(root), wait=True)).files == 4


async def test_ten_clients_start_one_service():
    clients = await asyncio.gather(*(IndexClient.connect() for _ in range(10)))
    pids = {(await connected.status()).pid for connected in clients}
    for connected in clients:
        await connected.close()
    assert len(pids) == 1


async def test_socket_is_ours_alone():
    async with client():
        assert stat.S_IMODE(paths.socket_path().stat().st_mode) == 0o600
        assert stat.S_IMODE(paths.runtime_folder().stat().st_mode) == 0o700


async def test_without_start_absence_is_an_error():
    with pytest.raises(IndexUnavailable, match="not running"):
        await IndexClient.connect(start=False)


async def test_leaves_when_nobody_is_there(monkeypatch):
    monkeypatch.setenv("FOREWORD_SERVICE_IDLE_S", "0.3")
    async with client() as connected:
        pid = (await connected.status()).pid
        await asyncio.sleep(0.6)
        assert (await connected.status()).pid == pid
    await gone(pid)
    assert not paths.socket_path().exists()


async def test_killed_service_fails_calls_and_the_next_connect_starts_another(tmp_path):
    root = repository(tmp_path / "work", FILES)
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        pid = (await connected.status()).pid
        waiting = asyncio.create_task(connected.call(Search(str(root), "area")))
        kill(pid)
        with pytest.raises(IndexUnavailable):
            await waiting
            await connected.status()
        await until(lambda: not connected.connected)
    assert paths.socket_path().exists(), "a stale socket is what this test is about"
    async with client() as connected:
        assert (await connected.status()).pid != pid
        assert (await connected.open_root(str(root), wait=True)).files == 4


async def test_killed_in_the_middle_of_indexing_leaves_no_trace(tmp_path):
    files = {f"m{number}.py": f"def f{number}():\n    return {number}\n" * 40 for number in range(900)}
    root = repository(tmp_path / "work", files)
    async with client() as connected:
        pid = (await connected.status()).pid
        started = asyncio.Event()
        opening = asyncio.create_task(
            connected.open_root(
                str(root),
                wait=True,
                on_progress=lambda note: started.set() if note.stage == "parsing" and note.done else None,
            )
        )
        await asyncio.wait_for(started.wait(), 60)
        children = psutil.Process(pid).children(recursive=True)
        kill(pid)
        with pytest.raises(IndexUnavailable):
            await opening
    await until(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    async with client() as connected:
        again = await connected.open_root(str(root), wait=True, timeout_s=120)
        assert (again.state, again.files, again.symbols, again.chunks) == (
            "ready",
            900,
            900 * 40,
            again.chunks,
        )
        assert len((await connected.symbols(str(root), name="f7")).definitions) == 40
        one = (await connected.references(str(root), "f7")).references
        assert len(one) == len(set(map(str, one)))
        resumed_chunks = again.chunks
        await connected.shutdown()
    await stop_service()
    for folder in (paths.store_folder(),):
        folder.rename(folder.with_name("old"))
    async with client() as connected:
        fresh = await connected.open_root(str(root), wait=True, timeout_s=120)
        assert (fresh.symbols, fresh.references, fresh.chunks) == (
            again.symbols,
            again.references,
            resumed_chunks,
        )


async def _raw() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(paths.socket_path())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        pytest.param(struct.pack(">I", 5) + b"hello", "cannot be read", id="no msgpack"),
        pytest.param(struct.pack(">I", 1) + b"\xc0", "cannot be read", id="no message"),
        pytest.param(struct.pack(">I", 2**31), "over the limit", id="oversize"),
        pytest.param(frame(Call(3, OpenRoot("/"))), "first call must be Hello", id="no greeting"),
    ],
)
async def test_malformed_frames_are_answered_and_harm_nobody(sent, said):
    async with client() as connected:
        reader, writer = await _raw()
        writer.write(sent)
        body = await asyncio.wait_for(read_frame(reader), 5)
        assert body is not None
        answer = decode_outbound(body)
        assert isinstance(answer, Failure) and said in answer.message
        writer.close()
        assert (await connected.status()).pid


async def test_a_cut_frame_harms_nobody():
    async with client() as connected:
        reader, writer = await _raw()
        writer.write(struct.pack(">I", 100) + b"abc")
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        assert (await connected.status()).pid


async def test_another_protocol_is_told_which_one_this_is():
    async with client():
        reader, writer = await _raw()
        writer.write(frame(Call(1, Hello(999))))
        body = await asyncio.wait_for(read_frame(reader), 5)
        assert body is not None
        answer = decode_outbound(body)
        assert isinstance(answer, Reply) and isinstance(answer.answer, Welcome)
        writer.close()


async def test_an_older_service_makes_room(monkeypatch):
    async with client() as connected:
        pid = (await connected.status()).pid
    monkeypatch.setattr(
        launch, "own_version", lambda: "999.0"
    )  # the client is of the future, the service is not
    with pytest.raises(IndexUnavailable):
        await IndexClient.connect(
            timeout_s=3
        )  # it starts services of the present, so this cannot succeed here
    await gone(pid)


async def test_a_newer_service_is_left_alone(monkeypatch):
    async with client() as connected:
        pid = (await connected.status()).pid
        monkeypatch.setattr(launch, "own_version", lambda: "0.0.1")
        with pytest.raises(IndexUnavailable, match="newer Foreword"):
            await IndexClient.connect(timeout_s=5)
        assert (await connected.status()).pid == pid


@pytest.mark.parametrize(
    ("root", "said"), [("/no/such/folder", "no folder"), ("relative", "absolute"), (__file__, "no folder")]
)
async def test_what_cannot_be_a_root_is_refused(root, said):
    async with client() as connected:
        with pytest.raises(IndexServiceError, match=said):
            await connected.open_root(root)


def test_folders_too_wide_for_a_project_are_told_from_those_inside(tmp_path, monkeypatch):
    home, temp = tmp_path / "users" / "ada", tmp_path / "temp"
    for folder in (home, temp):
        folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    table = {
        "/": "whole system",
        "/proc": "running system",
        "/proc/self": "running system",
        "/sys": "running system",
        "/dev": "running system",
        "/dev/shm": "temporary files",
        "/dev/shm/work": "",
        temp: "temporary files",
        temp / "work": "",
        home: "home folder",
        home.parent: "holds the home folder",
        home / "work": "",
        home.parent / "adam": "",
    }
    answers = {path: why_no_project(Path(path)) for path in table}
    assert [path for path, said in table.items() if said not in answers[path]] == []
    assert [path for path, said in table.items() if bool(said) != bool(answers[path])] == []


async def test_a_link_to_the_home_folder_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "link").symlink_to(Path.home())
    async with client() as connected:
        with pytest.raises(IndexServiceError, match="open the project's own folder"):
            await connected.open_root(str(tmp_path / "link"))


async def test_vectors_that_cannot_be_made_are_explained_to_who_waits_for_them(tmp_path):
    root = repository(tmp_path / "work", FILES)
    async with client() as connected:
        status = await connected.open_root(str(root), wait_vectors=True)
        assert (status.state, status.vectors) == ("ready", 0)
        assert status.note == "no vectors: switched off by FOREWORD_EMBEDDER=none"


async def test_a_pack_outside_of_every_root_says_so(tmp_path):
    async with client() as connected:
        with pytest.raises(IndexServiceError, match="no open folder holds"):
            await connected.pack(PackRequest(str(tmp_path / "a.py"), "x", 0, 0, 100, TokenizerRef()))


async def test_difficult_files_are_indexed_or_left_out_with_a_reason(tmp_path):
    root = repository(
        tmp_path / "work",
        {
            "latin.py": "def gr\xfc\xdfe():\n    pass\n".encode("latin-1"),
            "long.js": "var x = '" + "a" * 10_000_000 + "';\n",
            "empty.py": "",
            "broken.py": "def half(:\n  )\n" * 50,
            "nul.py": b"x = 1\0\0\0\n",
            "crlf.py": "def windows():\r\n    pass\r\n",
            "good.py": "def good():\n    pass\n",
        },
    )
    (root / "link.py").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe.py")
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert status.state == "ready"
        for name in ("good", "windows"):
            assert (await connected.symbols(str(root), name=name)).definitions, name
        assert sum(status.skipped.values()) >= 3, status.skipped
        assert not (await connected.search(str(root), "root daemon nologin")).hits


async def test_a_folder_without_git_and_a_root_inside_a_root(tmp_path):
    root = tmp_path / "plain"
    write(root / "a.py", "def outer():\n    pass\n")
    write(root / "inner/b.py", "def inner():\n    pass\n")
    async with client() as connected:
        whole = await connected.open_root(str(root), wait=True)
        part = await connected.open_root(str(root / "inner"), wait=True)
        assert (whole.files, part.files) == (2, 1)
        assert not (await connected.symbols(str(root / "inner"), name="outer")).definitions
        hits = (await connected.search(str(root / "inner"), "outer inner")).hits
        assert {hit.path for hit in hits} == {"b.py"}
        write(root / "inner/b.py", "def renamed():\n    pass\n")
        await until_symbol(connected, root, "renamed")
        await until_symbol(connected, root / "inner", "renamed")


async def test_a_read_only_workspace_is_indexed_without_a_trace(tmp_path):
    root = repository(tmp_path / "work", FILES)
    before = sorted(str(path) for path in root.rglob("*"))
    for path in [root, *root.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        async with client() as connected:
            assert (await connected.open_root(str(root), wait=True)).files == 4
        assert sorted(str(path) for path in root.rglob("*")) == before
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


async def test_a_store_that_cannot_be_made_is_said_and_survived(tmp_path):
    root = repository(tmp_path / "work", FILES)
    store = paths.store_folder()
    write(store, "a file where the store's folder should be\n")
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert status.state == "failed" and str(store) in status.error, status.error
        assert (await connected.status()).store.startswith("cannot be opened")
        store.unlink()
        assert (await connected.open_root(str(root), wait=True)).state == "ready"


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux only"
)
async def test_a_disk_that_takes_no_more_is_said_and_survived(tmp_path):
    root = repository(tmp_path / "work", {f"m{n}.py": f"def f{n}():\n    pass\n" * 50 for n in range(100)})
    async with client() as connected:
        await connected.open_root(
            str(tmp_path / "run"), wait=True
        )  # the store is there, the disk is not full yet
        pid = (await connected.status()).pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
        status = await connected.open_root(str(root), wait=True)
        assert status.state == "failed" and "File too large" in status.error, status.error
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        again = await connected.open_root(str(root), wait=True)
        assert (again.state, again.files, again.symbols) == ("ready", 100, 5000)
        assert len((await connected.symbols(str(root), name="f7")).definitions) == 50


async def test_a_store_that_another_service_writes_is_said_and_survived(tmp_path):
    root = repository(tmp_path / "work", FILES)
    other = Store(paths.store_folder() / schema.generation(), "test")
    async with client() as connected:
        status = await connected.open_root(str(root), wait=True)
        assert status.state == "failed" and "another index service" in status.error
        other.close()
        assert (await connected.open_root(str(root), wait=True)).state == "ready"


async def test_a_repository_that_git_refuses_is_noted_and_indexed(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    root = repository(tmp_path / "work", FILES)
    for path in [root, *root.rglob("*")]:
        os.chown(path, 12345, 12345)
    async with client() as connected:
        for opened in (root, root / "shapes"):
            status = await connected.open_root(str(opened), wait=True)
            assert (status.state, status.error) == ("ready", "")
            assert "belongs to another user" in status.note and "safe.directory" in status.note
        write(tmp_path / "plain/a.py", "x = 1\n")
        assert (await connected.open_root(str(tmp_path / "plain"), wait=True)).note == ""


async def test_while_the_first_pass_runs_no_ignored_document_is_shown(tmp_path):
    root = repository(tmp_path / "work", {f"m{n}.py": f"def f{n}():\n    pass\n" * 99 for n in range(400)})
    write(root / ".gitignore", "local.py\n")
    write(root / "local.py", "x = 1\n")
    async with client() as connected:
        await connected.open_root(str(root))
        await connected.overlay(str(root / "local.py"), "def leaked():\n    pass\n")
        await connected.overlay(str(root / "fresh.py"), "def not_on_disk():\n    pass\n")
        assert not (await connected.symbols(str(root), name="leaked")).definitions
        assert (await connected.symbols(str(root), name="not_on_disk")).definitions
        assert (await connected.status(str(root))).roots[0].state in ("listing", "indexing"), (
            "too late to tell"
        )
        await connected.open_root(str(root), wait=True)
        assert not (await connected.symbols(str(root), name="leaked")).definitions


@pytest.mark.parametrize("in_the_way", ["a folder for all", "a folder that is a lock"])
async def test_a_service_that_cannot_be_started_is_unavailable(in_the_way):
    folder = paths.runtime_folder()
    if in_the_way == "a folder for all":
        folder.chmod(0o755)
    else:
        (folder / "index-start.lock").mkdir()
    with pytest.raises(IndexUnavailable, match=r"chmod 700|cannot be started.*index-start\.lock"):
        await IndexClient.connect(timeout_s=5)
    folder.chmod(0o700)


async def test_the_workspace_is_never_imported(tmp_path):
    trap = "raise SystemExit('the workspace was imported')\n"
    names = ("indexer/__init__.py", "lsp/__init__.py", "msgspec.py", "psutil.py", "sitecustomize.py")
    root = repository(tmp_path / "work", {**FILES, **dict.fromkeys(names, trap)})
    before = Path.cwd()
    os.chdir(root)
    try:
        async with client() as connected:
            assert (await connected.open_root(str(root), wait=True)).state == "ready"
    finally:
        os.chdir(before)


async def test_a_cancelled_call_leaves_the_connection_in_order(tmp_path):
    root = repository(tmp_path / "work", {f"m{n}.py": f"def f{n}():\n    pass\n" * 50 for n in range(200)})
    async with client() as connected:
        opening = asyncio.create_task(connected.open_root(str(root), wait=True))
        await asyncio.sleep(0.05)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert (await connected.open_root(str(root), wait=True)).files == 200
