"""`aimctl plan`: what the operator would make of files, before anything is applied."""
