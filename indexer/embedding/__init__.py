"""Vectors: any sentence-transformers model, by the fastest way that this machine has."""
