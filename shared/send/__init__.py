"""Sending: accept a mail, drain the outbox of a mailbox, look before repeating, cancel."""
