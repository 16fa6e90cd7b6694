"""Set up everything that development needs, from any Python 3.11 or newer and its standard library alone."""
