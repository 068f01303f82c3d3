"""Whose prompt is read next, what is read ahead, and what is never read."""
