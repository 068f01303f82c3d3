"""`foreword bench engine`: the embedded engine beside SGLang's stock path and llama.cpp, in one interleaved run."""
