"""The reliability campaigns of docs/reliability.md: quick forms for every run of the tests, long ones marked slow."""
