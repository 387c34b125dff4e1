"""State that all workers of one server see."""
