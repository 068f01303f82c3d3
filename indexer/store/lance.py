"""LanceDB, imported without what it brings for others: half of the service's start went into that.

To be imported instead of `lancedb`. Left out are the generated client of its catalogue servers (the classes that
lancedb's signatures name stay) and pandas, which it and pyarrow do without where it is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

os.environ.setdefault("LANCEDB_LOG", "error")  # read at import; else a warning for every flat query

CATALOGUE_CLIENT: Final = "lance_namespace_urllib3_client"
"""Its package imports every call of a REST interface, checked by pydantic; its `models` alone are wanted."""
UNUSED: Final = "pandas"


class _Absent:
    """Finds nothing, and lets nobody after it look for `UNUSED`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == UNUSED:
            raise ModuleNotFoundError(f"{name} is left out", name=name)
        return None


@contextmanager
def _left_out() -> Generator[None]:
    """While LanceDB is imported. A program that has one of the two already keeps it."""
    spec = None if CATALOGUE_CLIENT in sys.modules else importlib.util.find_spec(CATALOGUE_CLIENT)
    if spec is not None:
        sys.modules[CATALOGUE_CLIENT] = importlib.util.module_from_spec(
            spec
        )  # a package whose own code is not run
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)
        if spec is not None:
            del sys.modules[CATALOGUE_CLIENT]  # whoever wants the client gets it, with the same models


with _left_out():
    import lancedb as lancedb
    from lancedb.index import FTS as FTS
    from lancedb.index import BTree as BTree
    from lancedb.query import MatchQuery as MatchQuery
