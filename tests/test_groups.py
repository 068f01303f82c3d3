"""One process group for all that a single rank asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from engine.hosting.groups import OneGroup

torch = pytest.importorskip("torch")


@pytest.fixture
def alone(monkeypatch):
    """A world of one rank."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def asked(one: OneGroup, **how: Any) -> Any:
    return one.made(torch.distributed.new_group, [0], timeout=timedelta(seconds=5), **how)


def test_all_are_the_same_and_work(alone) -> None:
    one = OneGroup()
    first, second = asked(one, backend="gloo", group_desc="tp:cpu"), asked(one, backend="gloo")
    assert first is second
    gathered: list[Any] = [None]
    torch.distributed.all_gather_object(gathered, {"said": 1}, group=second)
    assert gathered == [{"said": 1}]
    torch.distributed.barrier(group=second)
    one.ended(torch.distributed.destroy_process_group, first)
    value = torch.ones(2)
    torch.distributed.all_reduce(value, group=second)
    assert value.tolist() == [1, 1], "one that is given back stays for the others"


def test_other_backends_and_several_ranks_have_their_own(alone, monkeypatch) -> None:
    made: list[str] = []

    def new_group(ranks: list[int], *, backend: str) -> str:
        made.append(backend)
        return f"group {len(made)}"

    one = OneGroup()
    assert one.made(new_group, [0], backend="nccl") == "group 1"
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert one.made(new_group, [0], backend="gloo") == "group 2"
    ended: list[Any] = []
    one.ended(ended.append, "group 2")
    assert ended == ["group 2"]


def test_beside_a_backend_without_a_cpu_one_is_made(alone, monkeypatch) -> None:
    monkeypatch.setattr(torch.distributed, "get_backend", lambda _: "nccl")
    one = OneGroup()
    first = asked(one, backend="gloo")
    assert first is not torch.distributed.group.WORLD
    assert asked(one, backend="gloo") is first
