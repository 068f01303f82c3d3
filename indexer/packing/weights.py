"""What the features of a candidate count for, as fitted by `python -m benchmarks.context.fit_pack` on cases of click,
httpx, rich and networkx."""

from __future__ import annotations

from indexer.packing.evidence import Weights

NEEDED = Weights(
    bias=-7.4,
    of={
        "imported_near": 2.0,
        "imported_new": 5.8,
        "imported_used": 0.7,
        "attribute": 1.0,
        "typed": 0.5,
        "member": 4.1,
        "part": 0.3,
        "named": 1.2,
        "in_file": 6.2,
        "edited": 2.0,
        "unsaved": 2.0,
        "sibling": 0.8,
        "search": 1.2,
        "lexical": 2.6,
        "popular": 0.9,
        "near_by": 0.6,
        "together": 1.0,
        "changed": 0.5,
        "maker": 3.0,
        "private": -1.0,
        "test": -2.8,
        "method": -2.0,
        "constant": -1.4,
    },
)

LIKE_BUDGET = 4_096
"""Tokens. In a smaller budget what is only like what is being written counts for less: there is hardly room for what it
names."""

LIKE_OF_SEARCH = 0.15
"""What it is worth to read the lines of the first hit of a search: code that is like what is being written."""
