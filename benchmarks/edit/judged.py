"""Where replacements land whose anchors have a fault: at their place, nowhere, or at a wrong one."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks.edit.mutations import Mutant, bare_text
from lsp.edits.applying import Refused, apply
from lsp.edits.files import SourceFile
from lsp.edits.rebase import rebased

Verdict = Literal["refused", "repaired", "in place", "wrong place"]
"""`repaired`: what comes of it is what was meant, but for white space. `in place`: only lines at the right place were
changed, but otherwise than was meant."""


class Judged(msgspec.Struct, frozen=True):
    mutant: Mutant
    verdict: Verdict
    how: str = ""
    """How it was placed, or why it was not."""


def judged(mutant: Mutant) -> Judged:
    result = apply([mutant.block], {mutant.path: SourceFile(mutant.path, mutant.sent)})
    if isinstance(result, Refused):
        return Judged(mutant, "refused", result.refusals[0].reason)
    change, how = result.changes[0], result.placements[0].how
    if mutant.now is not None:
        moved = rebased(change, SourceFile(mutant.path, mutant.now))
        return (
            Judged(mutant, "refused", moved) if isinstance(moved, str) else Judged(mutant, "wrong place", how)
        )
    start, end = mutant.place
    if any(edit.start < start or edit.end > end for edit in change.edits):
        return Judged(mutant, "wrong place", how)
    repaired = bare_text(change.after or "") == bare_text(mutant.wanted)
    return Judged(mutant, "repaired" if repaired else "in place", how)
