"""One storage emulator and one simulated cloud for all contract suites, started only if one of them is asked for."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from localcloud.cloud import LocalCloud, MailServices
from localcloud.processes import start_azurite
from localcloud.world import World
from shared.settings import Settings


@pytest.fixture(scope="session")
def storage_settings() -> Iterator[Settings]:
    """Return settings whose MAIL_STORAGE is a fresh storage emulator."""
    azurite = start_azurite()
    try:
        yield settings_for(azurite.connection_string)
    finally:
        azurite.close()


def settings_for(connection_string: str, vault: str = "https://mailgrant.vault.azure.net") -> Settings:
    """Return settings that name this storage and vault, otherwise only defaults."""
    environment = {
        "AzureWebJobsStorage": connection_string,
        "MAIL_STORAGE": connection_string,
        "KEY_VAULT_URL": vault,
        "PUBLIC_BASE_URL": "http://127.0.0.1:7071",
    }
    return Settings.from_environment(environment)


@pytest.fixture(scope="session")
def microsoft_cloud() -> Iterator[LocalCloud]:
    """Return the simulated Microsoft cloud, without its mail part."""
    nothing = Starlette()
    with LocalCloud(World(), mail=lambda _world, _issuer: MailServices(nothing, nothing, [])) as cloud:
        yield cloud
