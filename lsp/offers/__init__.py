"""What was offered, where it still holds, and what is left of it."""
