"""Name resolution: what a name at a place refers to, and who refers to a definition."""
