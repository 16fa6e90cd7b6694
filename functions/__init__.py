"""Triggers only: parse, call one use case, render."""
