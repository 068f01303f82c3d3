"""What `trim.py` asks of a place and of the text so far; pure functions."""
