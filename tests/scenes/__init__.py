"""Whole products on memory, as several tests need them."""
