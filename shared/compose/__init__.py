"""From a request to send to standards-clean MIME."""
