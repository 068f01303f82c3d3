"""Fixtures that several test files share: the one engine host that all engine tests talk to."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal

import pytest


def pytest_configure() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that; a person's terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, files with slow tests begin: at the end one of them would keep a single core busy for minutes."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def kernels(tmp_path_factory):
    """Compiled once in a run: hosts with a cache of their own would each take some seven seconds more to start."""
    with pytest.MonkeyPatch.context() as patch:
        if "FOREWORD_KERNELS" not in os.environ:
            patch.setenv("FOREWORD_KERNELS", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(scope="session", autouse=True)
def models():
    """Weights and tokenizers stay where they are: tests with a cache of their own would each fetch them again."""
    from engine.paths import models_folder

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREWORD_MODELS", str(models_folder()))
        yield


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory):
    """What becomes of suggestions in tests is not counted among this user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield os.environ["XDG_STATE_HOME"]


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory):
    """Runtime and cache folders of this run alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield os.environ["XDG_RUNTIME_DIR"]
        asyncio.run(_stop_engines())


async def _stop_engines() -> None:
    """Hosts outlive those who asked for them, but not this run."""
    from engine.hosting.launcher import list_engines, stop_engine

    await asyncio.gather(*(stop_engine(model, timeout_s=10) for model in {i.model for i in list_engines()}))


@pytest.fixture(scope="session")
def engine_host(engine_home):
    """A ready host of the small model. Ten callers ask for it at once, as ten editors do in the morning."""
    if importlib.util.find_spec("sglang") is None:
        pytest.skip("the embedded engine needs the extra foreword[engine]")
    from engine.hosting.launcher import ensure_engine, stop_engine
    from engine.profiles import find

    profile = find("smollm2-135m")

    async def ten_callers():
        return await asyncio.gather(*(ensure_engine(profile, timeout_s=280) for _ in range(10)))

    infos = asyncio.run(ten_callers())
    assert len({(info.pid, info.url, info.key) for info in infos}) == 1, "ten callers must get one host"
    yield infos[0]
    asyncio.run(stop_engine(profile.short))
