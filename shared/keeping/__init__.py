"""Housekeeping: what is kept, is kept as long as it may be, and not longer."""
