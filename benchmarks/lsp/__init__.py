"""What the server makes of what a model writes."""
