"""One storage emulator for all contract suites, started only if one of them runs."""

from collections.abc import Iterator

import pytest

from localcloud.processes import start_azurite
from shared.settings import Settings


@pytest.fixture(scope="session")
def storage_settings() -> Iterator[Settings]:
    """Return settings whose MAIL_STORAGE is a fresh storage emulator."""
    azurite = start_azurite()
    try:
        yield settings_for(azurite.connection_string)
    finally:
        azurite.close()


def settings_for(connection_string: str) -> Settings:
    """Return settings that name this storage and otherwise only defaults."""
    environment = {
        "AzureWebJobsStorage": connection_string,
        "MAIL_STORAGE": connection_string,
        "KEY_VAULT_URL": "https://mailgrant.vault.azure.net",
        "PUBLIC_BASE_URL": "http://127.0.0.1:7071",
    }
    return Settings.from_environment(environment)
