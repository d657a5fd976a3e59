"""Model caches: the claim, the download that fills it, and what their status says."""
