"""A Kubernetes operator that turns a catalog of AI model images into running, routed inference services."""
