"""Open roots: one pass over the files, the state in memory, unsaved documents over it."""
