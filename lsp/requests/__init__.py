"""When the engine is asked, by whom, and what becomes of what is in flight."""
