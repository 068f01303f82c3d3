"""The engine's folders: the one with the key is ours alone, or it is refused with a reason."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.paths import EnginePathError, kernels_folder, logs_folder, models_folder, runtime_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="owners and modes are of POSIX")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("FOREWORD_MODELS", "FOREWORD_KERNELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_folders_follow_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert logs_folder() == home / "cache/foreword/logs"
    assert models_folder() == home / "cache/foreword/models"
    assert not models_folder().exists()
    monkeypatch.setenv("FOREWORD_MODELS", "~/models")
    assert models_folder() == Path.home() / "models"
    assert kernels_folder() == home / "cache/foreword/kernels"
    monkeypatch.setenv("FOREWORD_KERNELS", "~/kernels")
    assert kernels_folder() == Path.home() / "kernels"


def test_the_runtime_folder_is_private(home: Path):
    before = os.umask(0)  # a careless umask must not open it
    try:
        folder = runtime_folder()
    finally:
        os.umask(before)
    assert folder.is_relative_to(home)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert runtime_folder() == folder


def open_to_others(folder: Path) -> None:
    folder.chmod(0o755)


def in_an_open_folder(folder: Path) -> None:
    folder.parent.chmod(0o777)


def a_link(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (open_to_others, r"can be entered by others \(mode 755\)"),
        (in_an_open_folder, "where others could replace it"),
        (a_link, "is not a folder of this user"),
    ],
)
def test_a_folder_that_others_can_reach_is_refused(
    spoil: Callable[[Path], None], said: str, home: Path, monkeypatch: pytest.MonkeyPatch
):
    # platformdirs has an eye on XDG_RUNTIME_DIR itself; what it falls back to, under /tmp, has nobody's
    monkeypatch.setattr("engine.paths.user_runtime_path", lambda app: home / "run" / app)
    spoil(runtime_folder())
    with pytest.raises(EnginePathError, match=f"{said}.*XDG_RUNTIME_DIR"):
        runtime_folder()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_refused():
    os.chown(runtime_folder(), 12345, 12345)
    with pytest.raises(EnginePathError, match="is not a folder of this user"):
        runtime_folder()


def test_a_file_in_the_way(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.paths.user_runtime_path", lambda app: home / "run" / app)
    (home / "run").rmdir()
    (home / "run").write_text("")
    with pytest.raises(EnginePathError, match=r"cannot be made.*XDG_RUNTIME_DIR"):
        runtime_folder()
