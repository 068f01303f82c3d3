"""`foreword bench index`: the index beside ctags, aider's repository map and stock sentence-transformers."""
