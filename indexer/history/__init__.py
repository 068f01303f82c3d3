"""What the past of a root tells of its future: which files are edited, which of them together, and what is new here."""
