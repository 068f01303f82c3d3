"""`foreword bench engine`: figures are what was measured, what fails is told, and a short run really runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.figures import (
    LLAMACPP,
    NAMED,
    OURS,
    STOCK,
    absolute_figures,
    named_ratios,
    other_ratios,
)
from benchmarks.engine.llamacpp import DEFAULT_BATCH, LLAMA_VIM_BATCH, Cell, Child, ModelFiles, cells
from benchmarks.engine.llamacpp_screening import Trial, best_by_row, better, close_ones, predicted
from benchmarks.engine.llamacpp_venv import READY_VENV
from benchmarks.engine.rows import FULL, QUICK, Row, label, rows
from benchmarks.engine.run import BenchError, Options, check_memory
from benchmarks.engine.runner import run_row
from benchmarks.engine.targets import Reading
from benchmarks.engine.texts import PACKAGES, Package, Texts, TextsError, files
from benchmarks.figures import Figure, percentile, ratio, summary
from benchmarks.machine_facts import noise
from benchmarks.results import Results
from benchmarks.targets import TargetError
from engine.profiles import find
from engine.tokens import ModelTokenizer
from engine.weights.tokenizer_file import ensure_tokenizer

FOREWORD = str(Path(sys.executable).with_name("foreword"))
SMALL = "smollm2-135m"
PLACES = FULL.places()
QUICK_TIMEOUT_S = 280


@pytest.fixture(scope="module")
def texts(engine_home):
    profile = find("qwen2.5-coder-0.5b")
    return Texts(profile, ModelTokenizer.from_file(ensure_tokenizer(profile)))


# Figures


def test_median_and_spread():
    assert summary("x", [3.0, 1.0, 9.0], "s") == Figure("x", 3.0, "s", "", 3, 1.0, 9.0)


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_neighbours():
    figure = ratio("x", [10.0, 20.0, 60.0], [1.0, 4.0, 2.0], "y")
    assert figure == Figure("x", 10.0, "ratio", "y", 3, 5.0, 30.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0], 1.0),
        ([1.0] * 19 + [5.0], 1.0),
        ([1.0] * 18 + [5.0] * 2, 5.0),
        (list(map(float, range(40))), 37.0),
    ],
)
def test_p95_is_a_value_that_occurred(values, expected):
    assert percentile(values, 0.95) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1.0))
def test_a_percentile_has_its_share_at_or_below(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) * (1 - 1e-12)


SYNTHETIC = {
    "cold_ttft_2k": {OURS: [4.0], LLAMACPP: [12.0], STOCK: [6.0]},
    "cold_ttft_6k": {OURS: [16.0], LLAMACPP: [64.0]},
    "warm_ttft_6k_plus_40": {OURS: [0.25], STOCK: [5.0], LLAMACPP: [0.75]},
    "keystroke_6k": {OURS: [0.5], LLAMACPP: [2.0]},
    "decode_128": {OURS: [0.025], LLAMACPP: [0.05]},
    "decode_2k": {OURS: [0.04], LLAMACPP: [0.02]},
    "decode_6k": {OURS: [0.05], STOCK: [0.2]},
    "interactive_alone": {OURS: [0.25]},
    "interactive_beside_warmup": {OURS: [0.5]},
}
EXPECTED = {
    "stock_over_ours_warm_ttft": 20.0,
    "llamacpp_over_ours_warm_ttft": 3.0,
    "warm_over_cold_ttft": 1 / 64,
    "llamacpp_over_ours_keystroke": 4.0,
    "stock_over_ours_decode_6k": 4.0,
    "llamacpp_over_ours_prefill_2k": 3.0,
    "ours_over_llamacpp_decode_128": 2.0,
    "ours_over_llamacpp_decode_2k": 0.5,
    "ttft_beside_warmup_over_alone": 2.0,
}


def test_named_figures_have_their_names_and_directions():
    found = {figure.name: figure.value for figure in named_ratios(SYNTHETIC, {}, PLACES)}
    assert found == pytest.approx(EXPECTED)
    assert list(found) == [each.name for each in NAMED]


def test_a_baseline_that_was_not_measured_makes_no_figure():
    without = {
        row: {name: values for name, values in each.items() if name == OURS}
        for row, each in SYNTHETIC.items()
    }
    names = {figure.name for figure in named_ratios(without, {}, PLACES)}
    assert names == {"warm_over_cold_ttft", "ttft_beside_warmup_over_alone"}
    assert other_ratios(without, {}) == []


def test_absolute_figures_say_with_what_they_were_measured():
    described = {("keystroke_6k", LLAMACPP): "the best cell"}
    found = {figure.name: figure for figure in absolute_figures(SYNTHETIC, described)}
    assert found["llamacpp_keystroke_6k_s"] == Figure(
        "llamacpp_keystroke_6k_s", 2.0, "s", "the best cell", 1, 2.0, 2.0
    )
    assert found["ours_decode_2k_s"].unit == "s/token"
    others = {figure.name: figure for figure in other_ratios(SYNTHETIC, described)}
    assert others["llamacpp_over_ours_keystroke_6k"].against == "the best cell"


# Rows: all of these hold for every target, since all get the same ids


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_rows_have_the_lengths_that_their_names_say(texts, sizes):
    found = {row.name: row for row in rows(texts, sizes, 5)}
    assert len(found) == 12
    for size in (sizes.small, sizes.middle, sizes.large):
        assert {len(ids) for ids in found[f"cold_ttft_{label(size)}"].prompts} == {size}
        assert {len(ids) for ids in found[f"warm_ttft_{label(size)}"].prompts} == {size}
    large = label(sizes.large)
    new = found[f"warm_ttft_{large}_plus_{sizes.new}"]
    assert [len(ids) - shared(ids, new.base) for ids in new.prompts] == [sizes.new] * 5
    edit = found[f"edit_{large}"]
    assert [len(ids) - shared(ids, edit.base) for ids in edit.prompts] == [sizes.edit_before_end] * 5
    for row in found.values():
        assert len(row.prompts) == 5


def test_cold_prompts_share_no_first_token_with_anything(texts):
    found = rows(texts, FULL, 5)
    firsts = [ids[0] for row in found if row.cold for ids in row.prompts]
    assert len(set(firsts)) == len(firsts) == 15
    assert not set(firsts) & {row.base[0] for row in found if row.base}


def test_a_keystroke_is_laid_out_as_the_product_does(texts):
    """One token more before the cursor than a key before, and all behind the cursor after it."""
    profile = find("qwen2.5-coder-0.5b")
    row = next(row for row in rows(texts, FULL, 5) if row.name == "keystroke_6k")
    assert len(row.base) == FULL.large and profile.fim.prefix in row.base
    before = row.base
    for ids in row.prompts:
        at = ids.index(profile.fim.suffix)
        assert ids[: at - 1] == before and at == len(before) + 1
        assert ids[-1] == profile.fim.middle and len(ids) == at + 1 + FULL.suffix + 1
        before = ids[:at]


def test_decode_prompts_are_different_cuts(texts):
    for row in rows(texts, FULL, 5):
        if row.decoded > 1:
            assert len({tuple(ids[-16:]) for ids in row.prompts}) == 5


def shared(ids, base):
    return next(
        (at for at, (a, b) in enumerate(zip(ids, base, strict=False)) if a != b), min(len(ids), len(base))
    )


def test_the_pinned_texts_are_the_installed_ones():
    for package in PACKAGES:
        assert len(files(package)) > 10


def test_another_text_is_refused_with_what_to_do():
    with pytest.raises(TextsError, match=r"httpx .* not have the pinned text.*make setup"):
        files(Package("httpx", "0.28.1", "0" * 12))


# The interleaved runner


class Scripted:
    """A target whose times are known; it notes when it was asked."""

    def __init__(self, name, seconds, log, fails_at=None):
        self.name, self.seconds, self.log, self.fails_at = name, iter(seconds), log, fails_at

    def settings(self, row):
        return f"{self.name} at {row}"

    async def prepare(self, row):
        if self.fails_at == "prepare":
            raise TargetError(f"{self.name}: there is no such thing here")

    async def run(self, row, ids):
        self.log.append((self.name, ids[0]))
        if self.fails_at == ids[0]:
            raise TargetError(f"{self.name}: died at {ids[0]}")
        return Reading(next(self.seconds), 0.5, 0)


def run_scripted(targets, row):
    results = Results()
    asyncio.run(run_row(row, targets, results, lambda line: None))
    return results


def test_targets_take_turns():
    log = []
    targets = [Scripted("a", [1.0, 2.0], log), Scripted("b", [3.0, 4.0], log)]
    results = run_scripted(targets, Row("r", [[1], [2]]))
    assert log == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert results.measured == {"r": {"a": [1.0, 2.0], "b": [3.0, 4.0]}}
    assert results.described["r", "b"] == "b at r" and results.problems == []


@pytest.mark.parametrize("fails_at", ["prepare", 1, 2])
def test_a_failing_target_is_told_and_the_others_go_on(fails_at):
    targets = [Scripted("a", [1.0, 2.0], []), Scripted("b", [3.0, 4.0], [], fails_at)]
    results = run_scripted(targets, Row("r", [[1], [2]]))
    assert results.measured == {"r": {"a": [1.0, 2.0]}}
    (problem,) = results.problems
    assert (problem.target, problem.what) == ("b", "r") and "b:" in problem.reason


def test_decode_rows_take_the_time_per_token():
    results = run_scripted([Scripted("a", [9.0], [])], Row("decode_x", [[1]], decoded=8))
    assert results.measured == {"decode_x": {"a": [0.5]}}


# llama.cpp's cells


def test_all_cells_are_tried():
    files = ModelFiles(Path("models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))
    assert files.precisions == ("Q4_K_M", "Q8_0", "BF16") and files.path("Q4_K_M") == files.source
    found = cells(files.precisions, (2, 1))
    assert len(found) == len(set(found)) == 3 * 2 * 2
    assert "llama.vim" in Cell("Q8_0", True, 2, LLAMA_VIM_BATCH).name
    assert "llama.vim" not in Cell("Q8_0", True, 2, DEFAULT_BATCH).name


def test_each_row_gets_its_own_best_cell():
    quick_reader, quick_writer = Cell("BF16", True, 2), Cell("Q4_K_M", False, 1)
    lengths = (FULL.short, FULL.middle, FULL.large)
    best = best_by_row(
        {
            quick_reader: Trial(2.0, 3.0, 1.0, 2.0, dict.fromkeys(lengths, 0.2)),
            quick_writer: Trial(5.0, 4.0, 0.5, 4.0, dict.fromkeys(lengths, 0.1)),
        },
        FULL,
    )
    assert best["cold_ttft_6k"] == best["keystroke_6k"] == quick_reader
    assert best["decode_128"] == best["warm_ttft_6k_plus_40"] == best["warm_ttft_512"] == quick_writer


def test_close_cells_are_tried_again_and_keep_their_better_times():
    lengths = (FULL.short, FULL.middle, FULL.large)
    trials = {
        cell: Trial(at, at, at, at, dict.fromkeys(lengths, at))
        for at, cell in enumerate(cells(("Q8_0", "BF16"), (2, 1)), start=1)
    }
    assert close_ones(trials, FULL) == list(trials)[:2]
    first = Trial(1.0, 4.0, 1.0, 4.0, {128: 1.0, 2048: 4.0})
    second = Trial(2.0, 3.0, 2.0, 3.0, {128: 2.0, 2048: 3.0})
    assert better(first, second) == Trial(1.0, 3.0, 1.0, 3.0, {128: 1.0, 2048: 3.0})


def test_every_row_has_a_predicted_cell(texts):
    trial = Trial(1.0, 1.0, 1.0, 1.0, dict.fromkeys((FULL.short, FULL.middle, FULL.large), 1.0))
    assert set(predicted(trial, FULL)) == {row.name for row in rows(texts, FULL, 1)}
    assert predicted(trial, FULL)["cold_ttft_6k"] == pytest.approx(FULL.large / 512)


# The command


@pytest.mark.parametrize(
    ("load", "steal", "noisy"), [(0.1, 0.0, False), (3.0, 0.0, True), (0.1, 0.2, True), (2.5, 0.1, True)]
)
def test_a_noisy_machine_is_told(load, steal, noisy):
    assert bool(noise(load, steal, 2)) is noisy


def test_too_little_memory_is_refused_with_what_to_do():
    profile = find("qwen2.5-coder-0.5b")
    check_memory(profile, [OURS, STOCK], available_bytes=64 * 10**9)
    with pytest.raises(BenchError, match=r"need \d+\.\d GB .*--without stock"):
        check_memory(profile, [OURS, STOCK], available_bytes=8 * 10**9)


def test_rows_can_be_asked_for_by_name():
    options = Options(SMALL, 5, False, only=("keystroke",))
    assert options.wants("keystroke_6k", "llamacpp_over_ours_keystroke")
    assert not options.wants("cold_ttft_6k") and Options(SMALL, 5, False).wants("anything")


def bench(*arguments, **environment):
    return subprocess.run(
        [FOREWORD, "bench", "engine", *arguments],
        env={**os.environ, **environment},
        timeout=QUICK_TIMEOUT_S,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_baseline_is_wrong_usage():
    ended = bench("--without", "vllm")
    assert ended.returncode == 2 and "llamacpp" in ended.stderr


@pytest.mark.engine
@pytest.mark.slow
def test_a_quick_run_really_runs(engine_home, tmp_path):
    pytest.importorskip("sglang")
    ended = bench("--quick", "--json", "--model", SMALL, "--save", str(tmp_path / "saved.json"))
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert json.loads((tmp_path / "saved.json").read_text()) == document
    assert document["problems"] == []
    assert {"cpu", "cpu_flags", "cores", "versions", "load_average_before", "noise"} <= set(
        document["machine"]
    )
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert len(figures) == len(document["figures"]), "every name once"
    for figure in figures.values():
        assert set(figure) == {"name", "value", "unit", "against", "n", "min", "max"}
        assert figure["min"] <= figure["value"] <= figure["max"]
    assert {
        "warm_over_cold_ttft",
        "abort_steps_p95",
        "ttft_beside_warmup_over_alone",
        "ours_cold_ttft_512_s",
        "ours_keystroke_512_s",
        "ours_decode_64_s",
        "ours_two_at_once_200_plus_40_s",
        "ours_rss_mb",
    } <= set(figures)
    assert not any("stock" in name or "llamacpp" in name for name in figures)
    assert list(Path(os.environ["XDG_RUNTIME_DIR"]).glob("foreword/engine-*.json")) == [], "a host of its own"


@pytest.mark.engine
@pytest.mark.slow
def test_a_baseline_that_cannot_be_had_is_told_not_hidden(engine_home, tmp_path):
    pytest.importorskip("sglang")
    ended = bench(
        *("--json", "--model", SMALL, "--runs", "1", "--without", "stock", "--only", "warm_ttft_512"),
        **{READY_VENV: str(tmp_path / "nothing")},
    )
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    (problem,) = document["problems"]
    assert problem["target"] == "llamacpp" and READY_VENV in problem["reason"]
    assert "llamacpp" in ended.stderr
    assert "ours_warm_ttft_512_s" in {figure["name"] for figure in document["figures"]}


@pytest.fixture
def short_temporary():
    """A temporary folder with a path short enough for the sockets in it."""
    with tempfile.TemporaryDirectory(prefix="fw-") as folder:
        yield Path(folder)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [("SIGINT", 130), ("SIGTERM", 1), ("SIGKILL", -9)])
def test_nothing_outlives_the_benchmark(engine_home, short_temporary, number, status):
    pytest.importorskip("sglang")
    process = subprocess.Popen(
        [FOREWORD, "bench", "engine", "--quick", "--model", SMALL],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(short_temporary)},
    )
    family = []
    deadline = time.monotonic() + 60
    while len(family) < 3:  # the host and SGLang's first children
        assert time.monotonic() < deadline and process.poll() is None
        family = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.2)
    process.send_signal(getattr(signal, number))
    assert process.wait(40) == status
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, alive
    assert number == "SIGKILL" or not list(short_temporary.iterdir())


async def test_a_child_of_llama_cpp_that_dies_leaves_its_last_words(tmp_path):
    """Here for want of llama.cpp."""
    child = Child(Path(sys.executable), tmp_path)
    await child.start()
    try:
        with pytest.raises(
            TargetError, match=r"(?s)ended with code 1 during `open`. It said last:.*No module named"
        ):
            await child.ask("open", file="none")
    finally:
        await child.close()
