"""What a model writes when it edits: blocks, their text forms, and the parsers of these."""
