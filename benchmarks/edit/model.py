"""What a model makes of true changes: whether its answers are well-formed, anchor, apply and parse, and how much of
them is what was truly changed."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.edit.asked import Asked, changed_lines
from benchmarks.edit.hunks import FilePair
from benchmarks.figures import Figure, high, summary
from benchmarks.targets import Say
from engine.editing.blocks import Event, Replace
from engine.endpoints.faults import EngineRequestError
from indexer.parsing.errors import error_lines
from indexer.parsing.languages import language_of
from lsp.edits.anchors import place
from lsp.edits.applying import Applied
from lsp.edits.lines import split
from lsp.edits.on_disk import OnDisk
from lsp.edits.placed import Placed
from lsp.edits.reading import CannotEdit, prepare
from lsp.edits.running import Outcome, answered
from lsp.edits.task import Task
from lsp.edits.writing import write
from lsp.links.engines import Engine

NAMED_FIGURES = ("wellformed_grammar", "wellformed_free", "syntax_clean")


class Made(msgspec.Struct, frozen=True):
    """What came of one question."""

    well_formed: bool
    free: bool | None
    """Whether the answer without a grammar is well-formed; None where there was none with one."""
    blocks: int
    anchored: int
    applied: bool
    clean: bool | None
    """Whether what was applied adds no syntax error and stays below the root; None where nothing was."""
    similarity: float
    seconds: float
    why: str


async def measured(asked: Sequence[Asked], engine: Engine, say: Say) -> tuple[list[Made], list[str]]:
    """Of each question what came of it, and what could not be asked. Each is asked twice: under the grammar, with one
    more turn where an anchor does not fit, and once without."""
    made: list[Made] = []
    problems: list[str] = []
    for number, each in enumerate(asked, 1):
        say(f"{number} of {len(asked)}: {each.pairs[0].path}")
        try:
            made.append(await _ask(each, engine))
        except (EngineRequestError, CannotEdit) as failed:
            problems.append(f"{each.pairs[0].path}: {failed}")
    return made, problems


async def _ask(asked: Asked, engine: Engine) -> Made:
    with tempfile.TemporaryDirectory(prefix="foreword-bench-") as folder:
        root = Path(folder) / "repository"
        for pair in asked.pairs:
            (root / pair.path).parent.mkdir(parents=True, exist_ok=True)
            (root / pair.path).write_text(pair.old or "", encoding="utf-8", newline="")
        task = Task(instruction=asked.instruction, paths=[pair.path for pair in asked.pairs])
        where = OnDisk(root)
        question = await prepare(task, where, engine, None)
        events: list[Event] = []
        outcome = await answered(question, where, engine, events.append)
        free = None
        if outcome.figures.constrained:
            unbound = msgspec.structs.replace(question.sampling, ebnf=None)
            free = (await write(engine.endpoint, question.prompt, unbound, events.append)).well_formed
    return await asyncio.to_thread(_judged, asked, outcome, free)


def _judged(asked: Asked, outcome: Outcome, free: bool | None) -> Made:
    replaced = [each for each in outcome.blocks if isinstance(each, Replace)]
    files = {pair.path: split(pair.old or "") for pair in asked.pairs}
    anchored = [
        each for each in replaced if each.path in files and isinstance(place(files[each.path], each), Placed)
    ]
    return Made(
        well_formed=outcome.well_formed,
        free=free,
        blocks=len(outcome.blocks),
        anchored=len(anchored) + len(outcome.blocks) - len(replaced),
        applied=outcome.applied is not None,
        clean=None if outcome.applied is None else _clean(outcome.applied, asked.pairs),
        similarity=_similarity(outcome.applied, asked.pairs),
        seconds=outcome.figures.total_s,
        why=outcome.why,
    )


def _clean(applied: Applied, pairs: Sequence[FilePair]) -> bool:
    """Asked of the grammars alone, not of what refused the others."""
    sent = {pair.path for pair in pairs}
    for change in applied.changes:
        language = language_of(change.new_path)
        if change.path not in sent or change.new_path not in sent or language is None:
            return False
        before = error_lines(change.before.text if change.before else "", language) or ()
        if len(error_lines(change.after or "", language) or ()) > len(before):
            return False
    return True


def _similarity(applied: Applied | None, pairs: Sequence[FilePair]) -> float:
    """Of the lines that the true change takes away and adds, and those that this one does, the share that both have
    (F1, white space at the ends left out)."""
    if applied is None:
        return 0.0
    after = {change.path: change.after for change in applied.changes}
    true, ours = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for pair in pairs:
        for into, new in ((true, pair.new), (ours, after.get(pair.path, pair.old))):
            for sign, lines in zip("-+", changed_lines(FilePair(pair.path, pair.old, new)), strict=True):
                into.update((pair.path, sign, line.strip()) for line in lines if line.strip())
    both = (true & ours).total()
    return 2 * both / (true.total() + ours.total()) if both else 0.0


def figures(made: Sequence[Made], model: str) -> list[Figure]:
    if not made:
        return []
    found = [
        _share("wellformed_grammar", [each.well_formed for each in made], model),
        _share("wellformed_free", [each.free for each in made if each.free is not None], model),
        _share("syntax_clean", [each.clean for each in made if each.clean is not None], model),
        _share("edits_applied", [each.applied for each in made], model),
    ]
    blocks = sum(each.blocks for each in made)
    if blocks:
        share = sum(each.anchored for each in made) / blocks
        found.append(Figure("blocks_anchored", share, "share", model, blocks, share, share))
    similarity = [each.similarity for each in made]
    mean = statistics.fmean(similarity)
    found.append(Figure("diff_similarity", mean, "share", model, len(made), min(similarity), max(similarity)))
    seconds = [each.seconds for each in made]
    found += [summary("edit_s", seconds, "s", model), high("edit_s_p95", seconds, "s", model)]
    return [each for each in found if each.n]


def _share(name: str, good: Sequence[bool], against: str) -> Figure:
    value = sum(good) / len(good) if good else 0.0
    return Figure(name, value, "share", against, len(good), value, value)
