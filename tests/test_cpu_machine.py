"""What the CPU plug-in makes of the machine: whether it serves here at all, with how many threads, and when fewer."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

from engine.cpu.threads import (
    MAX_THREADS,
    RETREAT_S,
    WINDOW_S,
    Governor,
    candidates,
    fewest_worth,
    measure,
    quickest,
)


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


def test_a_number_that_was_asked_for_stays():
    machine = Machine(2)
    machine.governor = Governor(
        2, least=2, set_threads=machine.set.append, clock=lambda: machine.wall_s, ran=lambda: machine.ran_s
    )
    assert machine.work(3 * WINDOW_S, share=0.1) == 2
    assert machine.set == []


def test_two_ways_are_timed_in_turn_and_warmed_up():
    seen = []
    found = quickest(lambda: seen.append("one"), lambda: seen.append("other"), trials=3)
    assert seen == ["one", "other"] * 4
    assert len(found) == 2
    assert all(0 <= seconds < 1 for seconds in found)


@pytest.fixture
def torch_threads(monkeypatch):
    """As many as a host with three cores sets; put back afterwards."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    yield torch.get_num_threads
    torch.set_num_threads(before)


def loaded_model(dtype_name="bfloat16", experts=False):
    """A model as SGLang has it after loading, with one layer that is large enough to be timed."""
    import torch

    class Loaded(torch.nn.Module):
        def __init__(self):
            super().__init__()
            shape = (12, 64, 96) if experts else (64, 96)
            layer = torch.nn.Module()
            layer.weight = torch.nn.Parameter(torch.zeros(shape, dtype=getattr(torch, dtype_name)), False)
            layer.norm = torch.nn.Parameter(torch.ones(96), False)
            self.model = torch.nn.Module()
            self.model.layers = torch.nn.ModuleList([layer])

        def forward(self, input_ids, positions, pp_proxy_tensors=None):
            return input_ids + positions, torch.get_num_threads()

    return Loaded()


@pytest.mark.parametrize(
    ("model", "matrices"),
    [({}, 1), ({"dtype_name": "float32"}, 1), ({"experts": True}, 8), ({"dtype_name": "float8_e5m2"}, 0)],
)
def test_threads_are_measured_on_the_models_own_weights(model, matrices):
    pytest.importorskip("torch")
    from engine.cpu.loading import some_weights

    found = some_weights(loaded_model(**model))
    assert [tuple(each.shape) for each in found] == [(64, 96)] * matrices


def test_no_more_weights_are_taken_than_the_trial_needs(monkeypatch):
    pytest.importorskip("torch")
    from engine.cpu import loading

    model = loaded_model()
    model.model.layers.extend(loaded_model().model.layers[0] for _ in range(9))
    assert len(loading.some_weights(model)) == 10
    monkeypatch.setattr(loading, "TRIAL_BYTES", 3 * 64 * 96 * 2)
    assert len(loading.some_weights(model)) == 3


def test_a_model_as_loaded_has_its_threads_measured_and_is_watched(torch_threads):
    from engine.cpu.loading import as_loaded

    model = loaded_model()
    facts = as_loaded(model, None, "bf16 was asked for")
    assert facts.threads in candidates(3)
    assert facts.threads == torch_threads()
    assert facts.why.startswith("bf16 was asked for; trial work by threads: 1: ")
    assert model.forward(1, positions=2) == (3, facts.threads)
    assert "pp_proxy_tensors" in inspect.signature(model.forward).parameters, "SGLang asks for it"


def test_a_model_as_loaded_retreats_on_a_busy_machine():
    pytest.importorskip("torch")
    from engine.cpu.loading import govern

    machine = Machine(2)

    def forward():
        machine.wall_s += 2 * WINDOW_S  # in which this thread did not run

    model = SimpleNamespace(forward=forward)
    govern(model, machine.governor)
    model.forward()
    assert machine.set == [1]


def test_without_weights_that_can_be_timed_one_core_is_left(torch_threads):
    from engine.cpu.loading import as_loaded

    facts = as_loaded(loaded_model("float8_e5m2"), None, "why")
    assert (facts.threads, torch_threads()) == (2, 2)
    assert "no weights were found to measure threads with" in facts.why


@pytest.mark.parametrize(
    ("asked", "threads", "said"),
    [
        ("2", 2, "asks for 2 threads"),
        ("99", MAX_THREADS, f"asks for 99 threads, of which {MAX_THREADS} can compute"),
    ],
)
def test_a_number_of_threads_that_is_asked_for(asked, threads, said, torch_threads, monkeypatch):
    """The host sets OMP_NUM_THREADS to it; the status says how many there are."""
    from engine.cpu.loading import as_loaded

    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    model = loaded_model()
    facts = as_loaded(model, asked, "why")
    assert (facts.threads, torch_threads()) == (threads, threads)
    assert facts.why == f"why; FOREWORD_THREADS {said}"
    assert "forward" not in vars(model), "nobody takes threads away"


@pytest.mark.parametrize(
    ("launch", "said"),
    [
        ({"tp_size": 2}, "there is no lean form with tensor parallelism"),
        ({"pp_size": 2}, "there is no lean form with pipeline parallelism"),
        ({"enable_lora": True}, "there is no lean form with LoRA"),
        ({"tp_size": 2, "enable_lora": True}, "there is no lean form with tensor parallelism and LoRA"),
        ({}, "SimpleNamespace has no lean form"),
    ],
)
def test_a_launch_that_the_lean_form_does_not_serve(launch, said):
    """It adds nothing up across processes and knows no adapters: the answers would be wrong."""
    pytest.importorskip("sglang")
    from sglang.srt.runtime_context import get_context

    from engine.cpu.loading import against_int8

    with get_context().override_server_args(**launch):
        assert against_int8(SimpleNamespace()) == said


def test_eight_bits_that_are_asked_for_and_cannot_be_are_refused(monkeypatch):
    pytest.importorskip("sglang")
    from sglang.srt.runtime_context import get_context

    from engine.cpu.loading import prepare

    monkeypatch.setenv("FOREWORD_LINEARS", "int8")
    with (
        get_context().override_server_args(tp_size=2),
        pytest.raises(
            ValueError, match=r"asks for int8, but there is no lean form with tensor parallelism\. Leave"
        ),
    ):
        prepare(SimpleNamespace())


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
