"""The model downloader that runs in the Jobs of model caches: `aimctl fetch <uri> <dir>`.

Knows nothing of Kubernetes: it gets a source and a directory, and tells by its log, its exit code and a
termination message how it went. Imports api and errors only; only cli imports it. docs/reference/fetch.md
is what it promises.
"""
