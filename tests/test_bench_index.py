"""`foreword bench index`: figures are what was measured, baselines that are absent are said, and a short run runs."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from benchmarks.archives import NETWORKX, ArchiveError, fetch
from benchmarks.figures import Figure
from benchmarks.index import made, repositories, saving
from benchmarks.index.baselines import AIDER_VENV, Aider, Ctags
from benchmarks.index.bench import FULL, QUICK, Bench, Options
from benchmarks.index.made_languages import LANGUAGES
from benchmarks.index.run import LEFT_OUT, NAMED_FIGURES, PARTS
from benchmarks.index.service import NO_EMBEDDER, Home, running
from benchmarks.report import Document, show
from benchmarks.results import Problem
from benchmarks.targets import TargetError
from benchmarks.venvs import ensure_venv
from indexer.packing.syntax import language_of
from indexer.parsing.facts import facts_of

FOREWORD = str(Path(sys.executable).with_name("foreword"))
QUICK_TIMEOUT_S = 280
HELD_TO = {
    *("cold_over_aider", "cold_over_ctags", "first_answer_new_s", "first_answer_known_s", "resave_p95_s"),
    *("embed_over_stock", "hybrid_100k_p95_s", "switch_known_s", "switch_new_s", "query_after_saves"),
    *("disk_over_source", "rss_50k_mb", "idle_cpu"),
}
"""What the project is held to, by the names that it was asked for."""
NEEDS_A_BASELINE = {"cold_over_aider", "cold_over_ctags", "embed_over_stock"}


def bench(
    *arguments: str, timeout_s: float = QUICK_TIMEOUT_S, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FOREWORD, "bench", "index", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def silent(line: str) -> None:
    """Progress that nobody reads."""


# Figures and parts


def test_the_figures_have_the_names_that_they_are_held_to() -> None:
    assert set(NAMED_FIGURES) == HELD_TO
    assert len(NAMED_FIGURES) == len(HELD_TO)
    measured = [name for part in PARTS for name in part.names]
    assert set(measured) >= HELD_TO, "a figure that no part measures"
    assert len(measured) == len(set(measured)), "a figure that two parts measure"


@pytest.mark.parametrize(
    ("only", "asked", "wanted"),
    [
        ((), "idle_cpu", True),
        (("idle",), "idle_cpu", True),
        (("cold_",), "cold_over_aider", True),
        (("cold_",), "idle_cpu", False),
    ],
)
def test_what_was_asked_for(only: tuple[str, ...], asked: str, wanted: bool) -> None:
    assert Options(1, quick=False, only=only).wants(asked) == wanted


def test_figures_of_a_run(tmp_path: Path) -> None:
    subject = repositories.small(tmp_path)
    run = Bench(Options(5, quick=False), tmp_path, subject, silent)
    run.ratio("over", [4.0, 6.0, 5.0], [2.0, 1.0, 2.0], "what")
    run.ratio("missing", [4.0], [], "a baseline that was not measured")
    run.high("p95", [1.0] * 18 + [7.0] * 2)
    run.absolute("median", [3.0, 1.0, 9.0])
    found = {figure.name: (figure.value, figure.n, figure.min, figure.max) for figure in run.figures}
    assert found == {"over": (2.5, 3, 2.0, 6.0), "p95": (7.0, 20, 1.0, 7.0), "median": (3.0, 3, 1.0, 9.0)}


def test_a_quick_run_is_smaller_in_everything() -> None:
    full, quick = FULL, QUICK
    assert all(getattr(quick, name) < getattr(full, name) for name in full.__struct_fields__)


@pytest.mark.parametrize("width", [60, 100, 160])
def test_every_figure_can_be_read_at_any_width(width: int) -> None:
    figures = [Figure(name, 0.5, "ratio", f"against {name}", 3, 0.25, 0.75) for name in NAMED_FIGURES]
    console = Console(width=width, record=True, file=io.StringIO())
    show(
        Document({"cores": 2}, figures, [Problem("aider", "cold_over_aider", "it is not here")]),
        NAMED_FIGURES,
        console,
    )
    text = console.export_text()
    for name in NAMED_FIGURES:
        assert re.search(rf"^{name} .*0\.5.*0\.25.*0\.75", text, re.MULTILINE), name
        assert f"against {name}" in text
    assert "not measured: aider, cold_over_aider: it is not here" in re.sub(r"\s+", " ", text)


# What is measured


def test_the_made_repository_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    totals = made.write(tmp_path / "one", 40)
    made.write(tmp_path / "two", 40)
    files = {
        path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.*")
    }
    again = {
        path.relative_to(tmp_path / "two"): path.read_bytes() for path in (tmp_path / "two").rglob("*.*")
    }
    assert files == again
    assert (totals.files, totals.bytes) == (len(files), sum(map(len, files.values())))
    assert made.file(1, 7) != made.file(2, 7)


def test_the_made_repository_is_no_copy_of_one_file() -> None:
    texts = [made.file(made.SEED, number) for number in range(400)]
    assert len({path for path, _ in texts}) == 400
    lines = [line.strip() for _, text in texts for line in text.splitlines() if len(line.strip()) > 25]
    assert len(set(lines)) > 0.75 * len(lines), "most lines that say something are said once"
    extensions = {path.rpartition(".")[2] for path, _ in texts}
    assert extensions == {language.extension for language in LANGUAGES}


@pytest.mark.parametrize("extension", [language.extension for language in LANGUAGES])
def test_made_code_is_code(extension: str) -> None:
    """It parses, defines what it says it defines, and what it imports is there."""
    looked_at = 0
    for number in range(300):
        own = made.identity(made.SEED, number)
        path, text = made.file(made.SEED, number)
        if not path.endswith(f".{extension}"):
            continue
        facts = facts_of(text.encode(), language_of(path))
        names = {tag.name for tag in facts.definitions}
        assert path == own.path and not facts.error
        assert {own.type, *own.functions} <= names, path
        looked_at += 1
    assert looked_at


def test_made_files_import_from_files_that_are_there() -> None:
    paths = {made.file(made.SEED, number)[0] for number in range(300)}
    imported = 0
    for number in range(300):
        path, text = made.file(made.SEED, number)
        if path.endswith(".py"):
            for module in re.findall(r"^from (\w+\.\w+\.\w+) import", text, re.MULTILINE):
                imported += 1
                assert module.replace(".", "/") + ".py" in paths
    assert imported > 20


def test_a_save_says_something_new_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    original = "import os\n\n\ndef one():\n    pass\n\n\ndef two():\n    pass\n"
    texts = [saving.text_with(original, number) for number in range(60)]
    assert len(set(texts)) == 60
    for number, text in enumerate(texts):
        saving.save(path, text)
        (new,) = [
            tag for tag in facts_of(path.read_bytes(), "python").definitions if tag.name.startswith("saved")
        ]
        assert new.name == f"saved_{saving.word(number)}" and f"{saving.word(number)}doc" in text
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_words_are_of_letters_and_their_own() -> None:
    rng = random.Random(1)
    words = {saving.word(number) for number in [*range(3000), *(rng.randrange(10**8) for _ in range(500))]}
    assert len(words) >= 3499 and all(word.isalpha() for word in words)


def test_branches_differ_in_what_they_say(tmp_path: Path) -> None:
    if not repositories.has_git():
        pytest.skip("no git here")
    branches = repositories.with_branches(repositories.small(tmp_path), tmp_path, 12, 2)
    first, second = branches.names
    marker = f"def {first}_marker"

    def marked() -> int:
        return sum(
            marker in path.read_text("utf-8") for path in repositories.python_files(branches.repository)
        )

    assert marked() == 0
    for name, expected in ((first, 12), (second, 0), ("main", 0)):
        repositories.git(branches.repository, "checkout", "--quiet", name)
        assert marked() == expected


# The service has a home of its own


async def test_a_home_is_entered_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREWORD_EMBEDDER", raising=False)
    before = dict(os.environ)
    home = Home(tmp_path / "home", NO_EMBEDDER)
    async with running(home) as service:
        assert dict(os.environ) == before
        told = await service.client.status()
        assert Path(told.store).is_relative_to(home.folder)
        assert home.store_bytes > 0
        pid = service.pid
    assert not Path(f"/proc/{pid}").exists() or sys.platform != "linux"
    assert not list((home.folder / "run").rglob("*.sock"))


# Baselines that are not here


async def test_no_ctags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="apt install universal-ctags"):
        await Ctags.ready()


async def test_another_ctags(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "ctags"
    other.write_text("#!/bin/sh\necho 'ctags (GNU Emacs 29.1)'\n")
    other.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(TargetError, match="no Universal Ctags"):
        await Ctags.ready()


async def test_a_venv_that_is_named_and_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(AIDER_VENV.ready_variable, str(tmp_path))
    with pytest.raises(TargetError, match=AIDER_VENV.ready_variable):
        await ensure_venv(AIDER_VENV, silent)


async def test_an_aider_that_fails_says_its_last_words(tmp_path: Path) -> None:
    """Any Python without aider fails as a broken venv does."""
    with pytest.raises(TargetError, match=r"aider ended with 1: .*No module named 'aider'"):
        await Aider(Path(sys.executable)).first_map(tmp_path, ["a.py"])


def test_requirements_are_pinned_and_hashed() -> None:
    lines = [line for line in AIDER_VENV.requirements.read_text().splitlines() if not line.startswith("#")]
    named = [line for line in lines if not line.startswith(" ")]
    assert f"aider-chat=={AIDER_VENV.version} \\" in named
    assert all(re.fullmatch(r"[a-z0-9.-]+==[^ ]+ \\", line) for line in named)
    assert all(
        re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines if line not in named
    )


def test_an_archive_with_another_hash_is_deleted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "foreword" / "examples" / NETWORKX.file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"something else")
    with pytest.raises(ArchiveError, match="it was deleted"):
        fetch(NETWORKX)
    assert not kept.exists()


# The command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--without", "vim"), 2, ", ".join(LEFT_OUT)),
        (("--only", "nothing_of_this_name"), 1, "cold_over_aider"),
        (("--runs", "0"), 2, "--runs"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], code: int, said: str) -> None:
    ended = bench(*arguments)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said.replace(" ", "") in re.sub(r"[\s│]", "", ended.stderr)


def test_an_absent_ctags_is_told_and_the_rest_is_measured(tmp_path: Path) -> None:
    ended = bench("--quick", "--json", "--only", "cold_s", PATH=str(tmp_path))
    assert ended.returncode == 1
    document = json.loads(ended.stdout)
    assert [(each["target"], each["what"]) for each in document["problems"]] == [("ctags", "cold_over_ctags")]
    assert "apt install universal-ctags" in document["problems"][0]["reason"]
    assert "apt install universal-ctags" in ended.stderr
    names = {figure["name"] for figure in document["figures"]}
    assert "cold_s" in names and not {"cold_over_ctags", "ctags_s"} & names


def test_a_run_that_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [FOREWORD, "bench", "index", "--quick", "--only", "cold_s,first_answer"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if line.startswith("cold 1 of"):
                break
        started = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGTERM)
        said = run.stderr.read()
        assert run.wait(60) == 1
    assert "ended before it was done" in said
    assert list(tmp_path.glob("foreword-bench-*")) == []
    assert psutil.wait_procs(started, 30)[1] == []


@pytest.mark.slow
def test_a_quick_run_really_runs(tmp_path: Path, engine_home: str) -> None:
    pytest.importorskip("sentence_transformers")
    store = tmp_path / "cache" / "foreword" / "index"
    ended = bench(
        *("--quick", "--json", "--without", "ctags", "--save", str(tmp_path / "saved.json")),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert json.loads((tmp_path / "saved.json").read_text()) == document
    assert document["problems"] == []
    assert not store.exists(), "the user's store is not touched"
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert set(figures) >= HELD_TO - NEEDS_A_BASELINE
    assert not NEEDS_A_BASELINE & set(figures), "a quick run has no baselines, and makes nothing up"
    for figure in figures.values():
        assert set(figure) == {"name", "value", "unit", "against", "n", "min", "max"}
        assert figure["min"] <= figure["value"] <= figure["max"] and figure["value"] >= 0
    told = document["machine"]
    assert {"cpu", "cores", "versions", "load_average_before", "noise", "seconds"} <= set(told)
    assert told["quick"] is True and set(told["left_out"]) == {"aider", "ctags", "stock", "engine"}
    assert told["cold"]["files"] == repositories.QUICK_FILES
