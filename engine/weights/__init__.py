"""Weights and tokenizers by their hashes, from wherever they can be had."""
