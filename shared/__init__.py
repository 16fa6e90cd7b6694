"""The product without a host and without vendors."""
