"""The window as the model reads it: part by part, as JSON, as a page, for editors."""
