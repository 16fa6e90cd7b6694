"""Delivery: stored mail handed over to its destination, at least once, with stable bytes."""
