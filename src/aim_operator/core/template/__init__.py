"""Templates of both scopes: what to discover, when to try again, what to make of the result."""
