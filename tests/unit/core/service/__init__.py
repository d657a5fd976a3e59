"""Decisions about services."""
