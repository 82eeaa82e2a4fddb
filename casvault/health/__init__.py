"""The health of a model: what is broken or suspect in its numbers, its losses and its files."""
