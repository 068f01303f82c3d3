"""What the model made of each prompt, kept line by line, so that a run that ended early goes on where it was."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.context.case import Case, Kind, Language
from benchmarks.context.given import Method
from benchmarks.context.written import written
from benchmarks.targets import TargetError


class Answer(msgspec.Struct, frozen=True):
    """One case with what one method had the model read."""

    repository: str
    kind: Kind
    language: Language
    case: str
    method: Method
    budget: int
    fingerprint: str
    """Of the model, the whole prompt and the true line."""
    nll: float
    """Of the true line, in nats a token."""
    line_tokens: int
    said: str
    """What the model wrote, a line more than is wanted: the answer is trimmed anew whenever it is looked at."""
    ended: bool
    """Whether the model ended there by itself."""
    exact: bool
    similarity: float
    """Of the line that was shown to the true one, 0 to 1."""
    written: str
    reason: str
    """Why nothing was shown, where that is so."""
    truth: str
    prompt_tokens: int
    cached_tokens: int
    shown: bool
    seconds: float
    """For both questions to the engine, on a machine that others use too."""

    @property
    def key(self) -> tuple[str, Method, int]:
        return (self.case, self.method, self.budget)


def fingerprint(model: str, case: Case, ids: Sequence[int]) -> str:
    told = hashlib.blake2b(f"{model}\n{case.truth}\n".encode(), digest_size=16)
    told.update(array("I", ids).tobytes())
    return told.hexdigest()


class Answers:
    """Those that are known, in memory and in a file of JSON lines; of several of one key the last one counts."""

    def __init__(self, file: Path | None = None) -> None:
        """Raises TargetError where the file has something else."""
        self._file = file
        self._known: dict[tuple[str, Method, int], Answer] = {}
        self._whole_bytes = 0
        if file is None or not file.exists():
            return
        content = file.read_bytes()
        whole, line_end, half = content.rpartition(b"\n")
        if half and not whole:
            raise TargetError(f"{file} does not hold answers of this benchmark: name another")
        # The last line is half written where a run was killed; it goes when the next one is added.
        self._whole_bytes = len(whole) + len(line_end)
        try:
            for answer in msgspec.json.Decoder(Answer).decode_lines(whole):
                self._known[answer.key] = answer
        except msgspec.MsgspecError as wrong:
            raise TargetError(
                f"{file} does not hold answers of this benchmark ({wrong}): name another"
            ) from wrong

    def known(self, case: Case, method: Method, budget: int) -> Answer | None:
        return self._known.get((case.name, method, budget))

    def add(self, answer: Answer) -> None:
        self._known[answer.key] = answer
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("r+b" if self._file.exists() else "wb") as out:
                out.seek(self._whole_bytes)
                self._whole_bytes += out.write(msgspec.json.encode(answer) + b"\n")
                out.truncate()

    def of(self, cases: Iterable[Case]) -> list[Answer]:
        """Of these cases alone, since the file may hold those of an earlier choice; trimmed as it is done now."""
        of_name = {case.name: case for case in cases}
        return [
            trimmed(answer, of_name[answer.case]) for answer in self._known.values() if answer.case in of_name
        ]


def trimmed(answer: Answer, case: Case) -> Answer:
    shown = written(case, answer.said, ended=answer.ended)
    return msgspec.structs.replace(
        answer, exact=shown.exact, similarity=shown.similarity, written=shown.line, reason=shown.reason
    )
