"""Measurements with a goal each; `make bench AREA=…` prints one line of JSON."""
