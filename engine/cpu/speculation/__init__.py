"""Speculative decoding: tokens looked up in the text, verified several in a step."""
