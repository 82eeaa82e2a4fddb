"""What snapshots cost: who holds which chunks, what those take, and what a deletion would free."""
