"""The outbox: what is recorded of each mail to send, and how it may move from state to state."""
