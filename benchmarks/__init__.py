"""Measures casvault against other ways to keep snapshots, on one machine, in one run: `python -m benchmarks`."""
