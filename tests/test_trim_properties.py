"""What holds of every completion, whatever the document and whatever a model writes into it."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trim_table import CURSOR, Case, cases

from lsp.completion import place_at
from lsp.documents import Snapshot
from lsp.trim import Decision, Place, Trimmer
from lsp.trimming.blocks import indent_width

CASES = cases()
LINES_OF = {
    language: sorted(
        {
            line
            for case in CASES
            if case.language == language
            for line in f"{case.document}\n{case.writes}".split("\n")
        }
    )
    for language in {case.language for case in CASES}
}
LANGUAGES = sorted(LINES_OF)
LONGEST_CHARS = 60_000
"""A model that is in a loop has been stopped long before: 40 lines of 500 characters are 20,000."""


def after_insertion(place: Place, decision: Decision) -> list[str]:
    """The lines that the completion leaves from the cursor's on, without those that follow."""
    return (place.line_before + decision.text).split("\n")


def repeats_its_suffix(place: Place, decision: Decision) -> str | None:
    """The line that stands there twice, if one does."""
    if not decision.text:
        return None
    lines = after_insertion(place, decision)
    rest = place.line_after.rstrip("\r")[decision.replaced :].strip()
    if rest:
        repeated = len(rest) > 2 and re.search(r"\w", rest) and decision.text.rstrip().endswith(rest)
        return rest if repeated else None
    below = next((line for line in place.after.split("\n")[1:] if line.strip()), "").rstrip("\r")
    same = (
        line for line in lines if line.strip() == below.strip() and indent_width(line) == indent_width(below)
    )
    return next(same, None) if below else None


def outcome(decision: Decision) -> tuple[str, int, str]:
    return decision.text, decision.replaced, decision.why


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Place, str]:
    """A document of lines that occur in the table, and a text of such lines, of the document's own, and of noise."""
    language = draw(st.sampled_from(LANGUAGES))
    line = st.sampled_from(LINES_OF[language])
    text = "\n".join(draw(st.lists(line, max_size=8))).replace(CURSOR, "")
    offset = draw(st.integers(0, len(text)))
    own = st.sampled_from(["", *text.split("\n"), *text[offset:].split("\n"), text[offset : offset + 40]])
    noise = st.text("ab ()[]{}\"'`;:,.#/\\\n\t\r😀é_", max_size=12)
    pieces = draw(st.lists(line | own | noise, max_size=8))
    writes = draw(st.sampled_from(["\n", "", " ", "\r\n"])).join(pieces).replace(CURSOR, "")
    snapshot = Snapshot("untitled:1", None, language, 1, text)
    return place_at(snapshot, offset, draw(st.sampled_from([1, 3, 40]))), writes


@settings(max_examples=60, deadline=None)
@given(scenes(), st.data())
def test_however_it_is_cut_into_tokens(scene: tuple[Place, str], data: st.DataObject) -> None:
    place, writes = scene
    cuts = sorted(data.draw(st.lists(st.integers(0, len(writes)), max_size=10)))
    whole = Trimmer(place).finish(writes)
    trimmer = Trimmer(place)
    said = next((each for end in cuts if (each := trimmer.feed(writes[:end])).done), None)
    assert outcome(said or trimmer.finish(writes)) == outcome(whole)


@settings(max_examples=60, deadline=None)
@given(scenes(), st.booleans())
def test_nothing_repeats_the_first_line_of_its_suffix(scene: tuple[Place, str], cut: bool) -> None:
    place, writes = scene
    decision = Trimmer(place).finish(writes, cut=cut)
    assert decision.done
    assert bool(decision.text) is not bool(decision.why)
    assert repeats_its_suffix(place, decision) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_case_repeats_the_first_line_of_its_suffix(case: Case) -> None:
    for end in range(0, len(case.writes) + 1, 7):
        decision = Trimmer(case.place).finish(case.writes[:end], cut=True)
        assert repeats_its_suffix(case.place, decision) is None


@settings(max_examples=30, deadline=None)
@given(scenes(), st.text("ab c()=\n\n1", min_size=1, max_size=30))
def test_a_model_that_loops_for_ever_is_stopped(scene: tuple[Place, str], unit: str) -> None:
    place, _ = scene
    trimmer = Trimmer(place)
    written = ""
    for count in itertools.count(1):
        written = unit * (8 * count * count)
        if trimmer.feed(written).done:
            return
        assert len(written) < LONGEST_CHARS, "the trimmer has not stopped it"
