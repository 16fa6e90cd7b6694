"""What must not reach the logs, whatever level the host sets."""

import logging
from collections.abc import Iterator

import pytest

from shared.telemetry import TALKATIVE, quiet_vendors


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in TALKATIVE}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize(
    "name",
    [
        "azure.core.pipeline.policies.http_logging_policy",
        "azure.data.tables",
        "azure.identity._internal.get_token_mixin",
        "azure.storage.blob",
        "httpcore.http11",
        "httpx",
        "msal.authority",
        "urllib3.connectionpool",
    ],
)
def test_vendors_addresses_stay_out_of_the_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Even where everything is logged, addresses of requests are not; trouble still is."""
    caplog.set_level(logging.DEBUG)
    quiet_vendors()

    logging.getLogger(name).info("GET https://contoso.example/secret")
    logging.getLogger(name).warning("trouble")

    assert ["trouble"] == caplog.messages
