"""A small controller runtime: caches that follow the API server, queues, workers, and one place that writes.

Knows nothing of AIM: kinds, indexes, triggers and reconcilers are handed in.
"""
