"""How the plug-in's functions are compiled by numba, and kept in the user's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numba

TASK_SIGNATURE = "void(int64, int64, int64, int64, int64, int64)"


def compiled(function: Callable[..., Any]) -> Any:
    """A part of other compiled functions. Division does not look for zeros: it may not raise."""
    return numba.njit(nogil=True, error_model="numpy")(function)


def c_function(signature: str, function: Callable[..., Any]) -> int:
    """The address of a C function. It has to use a `checksum` as a constant from around it.

    Numba's cache watches the file of the function alone; by the constant it notices the others' changes too.
    """
    made: Any = numba.cfunc(signature, nopython=True, cache=True, error_model="numpy")(function)
    _kept.append(made)
    return made.address


_kept: list[Any] = []
"""A function's machine code is let go with the object."""


def checksum(*modules: str) -> int:
    """Of the sources of modules of this package, more than 0."""
    folder = Path(__file__).parent
    return 1 + crc32(b"".join((folder / f"{module}.py").read_bytes() for module in modules))
