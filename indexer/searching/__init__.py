"""The parts of hybrid search: full text, vectors, and their one learnt score."""
