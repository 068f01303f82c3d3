"""What tools answer, as text that an agent reads; never more than it can bear."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.messages import Definition, Hit, Reference, RootStatus, Segment

MAX_CHARS = 60_000
"""Some 15,000 tokens: what agents take of one tool without cutting it themselves."""
MAX_PIECE_CHARS = 20_000
"""A class of 500 lines; of what is longer the place is told, and its beginning shown."""
MAX_LINE_CHARS = 300
"""Of a line that refers to something."""


def bounded(pieces: Sequence[str], note: str = "") -> str:
    """As many of the pieces as there is room for, and what was left out."""
    kept: list[str] = []
    room = MAX_CHARS
    for piece in pieces:
        piece = _cut(piece)
        if len(piece) > room:
            break
        room -= len(piece)
        kept.append(piece)
    left = len(pieces) - len(kept)
    more = f"({left} more are left out; ask for fewer, or more precisely)" if left else ""
    between = "\n\n" if any("\n" in piece for piece in kept) else "\n"
    return between.join([*kept, *filter(None, (more, f"({note})" if note else ""))])


def _cut(piece: str) -> str:
    if len(piece) <= MAX_PIECE_CHARS:
        return piece
    whole = piece[:MAX_PIECE_CHARS].rpartition("\n")[0]
    return f"{whole}\n({piece.count(chr(10)) - whole.count(chr(10))} more lines)"


def _lines(start: int, end: int) -> str:
    """Counted from 1, the last one included."""
    return str(start + 1) if end <= start + 1 else f"{start + 1}-{end}"


def hit_text(hit: Hit) -> str:
    return f"{hit.path}:{_lines(hit.start_line, hit.end_line)}  (by {hit.why})\n{hit.text.rstrip()}"


def definition_head(definition: Definition) -> str:
    name = ".".join(filter(None, (definition.container, definition.name)))
    where = f"{definition.path}:{_lines(definition.start_line, definition.end_line)}"
    return f"{where}  {definition.kind} {name}"


def reference_line(reference: Reference, lines: Sequence[str]) -> str:
    text = lines[reference.line].strip()[:MAX_LINE_CHARS] if reference.line < len(lines) else ""
    if reference.target_path:
        line = f":{reference.target_line + 1}" if reference.target_line >= 0 else ""
        meant = f"means {reference.target_path}{line}, by {reference.how}"
    else:
        meant = f"what is meant is not known: {reference.unresolved}"
    return (
        f"{reference.path}:{reference.line + 1}:{reference.column + 1}  {text}  ({reference.kind}; {meant})"
    )


def segment_text(segment: Segment) -> str:
    where = f"{segment.path}:{_lines(segment.start_line, segment.end_line)}"
    return f"{where}  ({segment.reason})\n{segment.text.rstrip()}"


def status_text(status: RootStatus) -> str:
    counts = f"{status.files:,} files, {status.symbols:,} symbols, {status.references:,} references"
    lines = [f"{status.root}: {status.state}, {counts}, {status.chunks:,} chunks, {status.vectors:,} vectors"]
    if status.state == "indexing":
        lines.append(f"{status.files_done:,} of {status.files:,} files are done")
    lines += [f"left out: {count:,} files, {reason}" for reason, count in sorted(status.skipped.items())]
    if status.redacted:
        lines.append(f"{status.redacted:,} lines hold what looks like a secret, which is replaced by a mark")
    return "\n".join([*lines, *filter(None, (status.note, status.error))])
