"""The step page: what is read is what was written, whole, or nothing."""

from __future__ import annotations

import msgspec
import pytest

from engine.hosting import steps
from engine.hosting.steps import NEVER, StepPage, Steps

WRITTEN = Steps(7, 1, 3, NEVER, 2, 4096, 8192, waiting=1, stepped_ns=2**62)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "_RETRIES", 3)
    StepPage.create(tmp_path / "steps")
    return tmp_path / "steps"


def test_what_one_mapping_writes_another_reads(path):
    reader, writer = StepPage(path), StepPage(path)
    assert reader.read() == Steps(0, 0, NEVER, NEVER, 0, 0, 0)
    writer.write(WRITTEN)
    assert reader.read() == WRITTEN


@pytest.mark.parametrize("word", [*range(1, 1 + len(Steps.__struct_fields__))])
def test_a_record_of_which_one_word_came_late_is_not_taken(path, word):
    """As a processor may show it that does not keep the order of another's writes: the number is even already."""
    page = StepPage(path)
    page.write(WRITTEN)
    data = bytearray(path.read_bytes())
    data[8 * word] ^= 1
    path.write_bytes(data)
    with pytest.raises(RuntimeError, match="stopped while it wrote"):
        StepPage(path).read()


def test_an_earlier_record_under_a_later_number_is_not_taken(path):
    page = StepPage(path)
    page.write(WRITTEN)
    before = path.read_bytes()
    page.write(msgspec.structs.replace(WRITTEN, steps=8))
    path.write_bytes(path.read_bytes()[:8] + before[8:])
    with pytest.raises(RuntimeError, match="stopped while it wrote"):
        StepPage(path).read()
