"""Talking to engines, ours or another; several in order as one."""
