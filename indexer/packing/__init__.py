"""The pack: which lines a model reads, within a budget of tokens."""
