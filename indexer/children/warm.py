"""Loaded by the fork server before its first child: what children run, and grammars with their queries.

Which grammars: those of the languages that were read last, since a query takes 4 to 80 ms to compile.
"""

from __future__ import annotations

import concurrent.futures.process  # a child begins there
import gc

from indexer.children import children
from indexer.children.reading import warm_up
from indexer.roots.languages_in_use import languages_in_use
from indexer.secrets import values

_LOADED = (concurrent.futures.process, children, values)

warm_up(languages_in_use())
gc.freeze()  # so that no child's collector writes to the pages that all of them share
