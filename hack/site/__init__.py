"""Builds the docs site from docs/ and the pages beside it."""
