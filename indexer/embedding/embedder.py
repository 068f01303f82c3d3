"""The embedding model itself. Runs in one niced child process of the index service; only questions, for which somebody
waits, are embedded by a thread that is not niced."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import msgspec
import psutil

from indexer.children.children import settle_in
from indexer.embedding.folder import ModelFacts

if TYPE_CHECKING:  # the service imports this module, and none of the model's libraries with it
    from indexer.embedding.models import Model

_P = ParamSpec("_P")
_R = TypeVar("_R")

THREADS = 1
"""While others need the processor."""

MOST_THREADS = 2
"""While it is idle: who waits for vectors has them in half the time. More would be heard as the editor's fan."""

_IDLE_CORES = 0.6
"""A second thread begins when others leave so much of the processor beside ours, and ends when they do not."""


class Wanted(msgspec.Struct, frozen=True):
    """Which model, and how it is to be used."""

    facts: ModelFacts
    graphs: str
    """Folder for what is made of the model."""
    query_prefix: str = ""
    document_prefix: str = ""


def settle_in_offline() -> None:
    """As every child, and deaf to the model hub: the folder is whole."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # every length of text is a shape of its own, and by default 1024 compiled shapes are kept: 500 MB
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "16"
    _at_once.append(ThreadPoolExecutor(1, thread_name_prefix="questions"))
    at_once(os.getpid)  # starts the thread
    settle_in()  # on Linux niceness is a thread's: that of this one, and of those that it starts from now on


_at_once: list[ThreadPoolExecutor] = []
"""One, in a child that has settled in."""


def at_once(job: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """The result of `job`, where other work does not hold it up."""
    return _at_once[0].submit(job, *args, **kwargs).result() if _at_once else job(*args, **kwargs)


class Prepared(msgspec.Struct, frozen=True):
    """How a model runs here."""

    precision: str
    mean: float
    spread: float
    """See `ranking.Scale`."""
    measured: bool
    """Only now, which leaves three times the memory behind that the model takes."""


@lru_cache(maxsize=1)
def load(wanted: Wanted) -> tuple[Model, Prepared]:
    """Raises BrokenModel, and what the libraries raise: ImportError, OSError, ValueError, RuntimeError."""
    from indexer.embedding import choice

    model, chosen, measured = choice.load(wanted)
    return model, Prepared(chosen.precision, chosen.mean, chosen.spread, measured)


def prepare(wanted: Wanted) -> Prepared:
    return load(wanted)[1]


def embed(wanted: Wanted, texts: list[str], *, question: bool) -> bytes:
    """Unit vectors of these texts, as rows of little-endian float32."""
    import numpy as np

    prefix = wanted.query_prefix if question else wanted.document_prefix
    threads = THREADS if question else _idleness.threads()
    model, _ = load(wanted)
    asked = [prefix + text for text in texts]
    vectors = at_once(model.embed, asked, threads) if question else model.embed(asked, threads)
    return np.ascontiguousarray(vectors, dtype="<f4").tobytes()


class Idleness:
    """How much of the processor others leave, between one job and the next."""

    def __init__(self) -> None:
        self._threads = THREADS
        self._seen = _clocks()

    def threads(self) -> int:
        """How many threads the next job may have."""
        now = _clocks()
        wall_s, idle_s, own_s = (after - before for after, before in zip(now, self._seen, strict=True))
        if wall_s >= _LOOK_AFTER_S:
            left = (idle_s + own_s) / wall_s - THREADS  # in cores, beside the first thread's
            self._threads = MOST_THREADS if left >= _IDLE_CORES else THREADS
            self._seen = now
        return self._threads


_LOOK_AFTER_S = 0.5
"""The system counts idle time in hundredths of a second."""


def _clocks() -> tuple[float, float, float]:
    """Seconds: on the wall, of all idle cores together, of this process."""
    return time.monotonic(), psutil.cpu_times().idle, time.process_time()


_idleness = Idleness()
