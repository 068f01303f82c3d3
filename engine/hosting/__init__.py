"""One host for all who ask: its process, its door, and SGLang within."""
