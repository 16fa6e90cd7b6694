"""The control endpoint of the local cloud, and a client of it."""
