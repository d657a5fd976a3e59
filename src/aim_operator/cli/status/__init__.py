"""`aimctl status`: what there is in a cluster, and how it is."""
