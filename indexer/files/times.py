"""When a file was last changed, as far as its folder tells."""

from __future__ import annotations

import os


def changed_ns(state: os.stat_result) -> int:
    """The later of its two times, in nanoseconds: what was moved into its place, or dated back, has an old modification
    time, which may even be that of the file before, but its entry was changed now."""
    return max(state.st_mtime_ns, state.st_ctime_ns)
