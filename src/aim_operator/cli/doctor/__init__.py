"""`aimctl doctor`: whether a cluster has what the operator and its services need."""
