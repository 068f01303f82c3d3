"""What the engine chose for this machine when it started: the scheduler's process writes it into a file, the host
reads it there."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

FACTS_FILE = "engine-facts.json"
"""Its name, beside the step page."""
FACTS_PATH = "FOREWORD_ENGINE_FACTS"
"""Environment variable with its path, for the process that writes it."""


class Facts(msgspec.Struct, frozen=True):
    """Empty or 0 where nobody wrote it down."""

    linears: str = ""
    """Number format of the linear layers."""
    threads: int = 0
    why: str = ""
    """Why these two, in words."""
    speculation: str = ""


def read_facts(folder: Path) -> Facts:
    """What was written into the host's scratch folder, if anything was."""
    try:
        return msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=Facts)
    except FileNotFoundError:
        return Facts()
    except msgspec.DecodeError as error:
        return Facts(why=f"{FACTS_FILE} cannot be read: {error}")


def tell(facts: Facts) -> None:
    """Write the facts where the host reads them, if it wants to know."""
    if path := os.environ.get(FACTS_PATH):
        whole = Path(f"{path}.new")  # the host may be reading
        whole.write_bytes(msgspec.json.encode(facts))
        whole.replace(path)
