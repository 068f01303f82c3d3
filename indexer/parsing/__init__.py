"""What is in one text, from one walk through its syntax tree; languages are rows of data and queries."""
