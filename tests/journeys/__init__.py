"""Journeys through the whole product; a package, so that their one stack ends when the last of them has ended."""
