"""The demo: a model made the way a trainer makes one, and the main job done on it."""
