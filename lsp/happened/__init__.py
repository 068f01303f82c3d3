"""What happened to suggestions: counted on this machine alone, without any text of theirs or of a document."""
