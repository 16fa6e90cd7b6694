"""What the logs of the product leave out."""

import logging

# Below WARNING these write whole addresses of requests: keys, mailboxes, links that are secrets by themselves.
TALKATIVE = (
    "azure.core.pipeline.policies.http_logging_policy",
    "azure.data",
    "azure.identity",
    "azure.storage",
    "httpcore",
    "httpx",
    "msal",
    "urllib3",
)


def quiet_vendors() -> None:
    """Let the vendors' packages log warnings and errors only."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
