"""Fetching: one run of one mailbox, from the turn to the committed cursor."""
