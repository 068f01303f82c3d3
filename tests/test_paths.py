"""The runtime folder is ours alone, and a socket's path is never too long."""

import os
import stat
from pathlib import Path

import pytest

from indexer import paths


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "foreword"


def test_made_with_mode_0700(runtime: Path) -> None:
    assert paths.runtime_folder() == runtime
    assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
    assert paths.socket_path() == runtime / "index.sock"


def test_refuses_what_others_can_reach(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o755)
    with pytest.raises(paths.UnsafeFolderError, match="chmod 700"):
        paths.runtime_folder()


def test_refuses_a_link_and_a_file(runtime: Path) -> None:
    runtime.symlink_to(runtime.parent)
    with pytest.raises(paths.UnsafeFolderError, match="no link"):
        paths.runtime_folder()
    runtime.unlink()
    runtime.write_text("")
    with pytest.raises(paths.UnsafeFolderError):
        paths.runtime_folder()


def test_refuses_a_folder_of_another_user(runtime: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    runtime.mkdir(mode=0o700)
    os.chown(runtime, 12345, 12345)
    with pytest.raises(paths.UnsafeFolderError, match="another user"):
        paths.runtime_folder()


def test_a_long_folder_gives_a_short_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 120)))
    path = paths.socket_path()
    try:
        assert len(os.fsencode(path)) <= paths.SOCKET_PATH_BYTES
        assert path == paths.socket_path()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        path.parent.rmdir()
