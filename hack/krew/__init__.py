"""Builds what Krew installs as `kubectl aim`: an archive for each platform, and a manifest of them."""
