"""The API server over HTTP, and the interface that the sandbox speaks in its place."""
