"""Other people's mail clients against the local cloud, which owes its answers to them as well as to our own client."""
