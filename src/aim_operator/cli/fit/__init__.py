"""`aimctl fit`: whether a service has somewhere to run, where, and what is in the way."""
