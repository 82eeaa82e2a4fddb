"""Tests of casvault; `make test` runs them."""
