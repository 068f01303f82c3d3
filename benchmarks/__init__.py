"""Measurements of this project, side by side with its baselines, and the demo."""
