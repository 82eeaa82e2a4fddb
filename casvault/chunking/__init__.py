"""Cutting files into chunks: by structure where a scanner found some, by content elsewhere."""
