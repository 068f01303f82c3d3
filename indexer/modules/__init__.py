"""Import resolution: from what an import says to the files and names that it means."""
