"""`aimctl why`: the chain of causes from an object to what is at its root, and what to do about that."""
