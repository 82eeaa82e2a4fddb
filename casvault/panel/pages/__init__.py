"""The pages of the panel, a module for each; every one has ``ROUTES``."""
