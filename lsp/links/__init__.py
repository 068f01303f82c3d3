"""The models and the index as the server reaches them, and how much of a prompt they can read in time."""
