"""Simulated mailboxes: messages, folders, MIME, transport."""
