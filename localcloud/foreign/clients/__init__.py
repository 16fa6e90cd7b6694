"""Scripts that run in a foreign client's own environment: they import that client and the standard library alone."""
