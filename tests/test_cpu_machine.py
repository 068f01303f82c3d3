"""What the CPU plug-in makes of the machine: whether it serves here at all, with how many threads, and when fewer."""

from __future__ import annotations

import pytest

from engine.cpu.threads import RETREAT_S, WINDOW_S, Governor, candidates, fewest_worth, measure


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 3, 4]), (16, [1, 8, 15, 16])]
)
def test_candidates(cores, counts):
    assert candidates(cores) == counts


@pytest.mark.parametrize(
    ("seconds", "threads"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.55}, 2),
        ({1: 1.0, 2: 0.95}, 1),  # not worth the other core
        ({1: 1.0, 2: 8.0}, 1),  # a busy machine
        ({1: 1.0, 8: 0.2, 15: 0.15, 16: 0.149}, 15),
    ],
)
def test_fewest_that_are_worth_it(seconds, threads):
    assert fewest_worth(seconds) == threads


def test_measure_runs_the_work_and_leaves_one_of_the_counts_set():
    import torch

    before, seen = torch.get_num_threads(), []
    try:
        measured = measure(lambda: seen.append(torch.get_num_threads()), [1, 2])
        assert torch.get_num_threads() == measured.threads
    finally:
        torch.set_num_threads(before)
    assert sorted(set(seen)) == [1, 2]
    assert seen.count(1) == seen.count(2) > 1
    assert set(measured.seconds) == {1, 2}


class Machine:
    """A clock, and the share of the time that the computing thread gets."""

    def __init__(self, threads):
        self.wall_s, self.ran_s, self.set = 0.0, 0.0, []
        self.governor = Governor(
            threads, set_threads=self.set.append, clock=lambda: self.wall_s, ran=lambda: self.ran_s
        )

    def work(self, seconds, share):
        """Steps of 20 ms for so long; the threads that the last one was given."""
        given = []
        for _ in range(round(seconds / 0.02)):
            with self.governor.step() as threads:
                given.append(threads)
                self.wall_s += 0.02
                self.ran_s += 0.02 * share
        return given[-1]


def test_an_idle_machine_keeps_its_threads():
    machine = Machine(4)
    assert machine.work(10, share=0.9) == 4
    assert machine.set == []


def test_a_busy_machine_retreats_and_comes_back():
    machine = Machine(2)
    machine.work(WINDOW_S + 0.02, share=0.2)
    assert machine.work(RETREAT_S - 2, share=1.0) == 1
    assert machine.work(3, share=1.0) == 2
    assert machine.set == [1, 2]


def test_waiting_with_one_thread_changes_nothing():
    machine = Machine(1)
    machine.work(5, share=0.1)
    assert machine.set == []


def test_a_short_wait_is_forgiven():
    machine = Machine(2)
    machine.work(0.1, share=0.0)
    assert machine.work(5, share=0.95) == 2


def test_a_choice_made_on_a_busy_machine_is_tried_again():
    machine = Machine(4)
    machine.governor = Governor(
        4, 1, set_threads=machine.set.append, clock=lambda: machine.wall_s, ran=lambda: machine.ran_s
    )
    assert machine.work(RETREAT_S - 1, share=1.0) == 1
    assert machine.work(2, share=1.0) == 4
    assert machine.set == [4]


@pytest.mark.parametrize(
    ("device", "accelerator", "ours"),
    [(None, False, True), (None, True, False), ("cpu", False, True), ("cpu", True, True)],
)
def test_the_host_may_choose_the_cpu_beside_an_accelerator(monkeypatch, device, accelerator, ours):
    """One that is too small for the model: without this, SGLang would know no attention backend of ours."""
    import torch

    from engine.cpu import DEVICE, activate

    monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator)
    monkeypatch.delenv(DEVICE, raising=False)
    if device is not None:
        monkeypatch.setenv(DEVICE, device)
    assert (activate() is not None) == ours
