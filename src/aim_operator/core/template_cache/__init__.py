"""Template caches: which model caches a template needs in a namespace, and how far they are."""
