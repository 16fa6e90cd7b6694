"""The Microsoft clouds: which hosts belong together. Source: graph-docs `concepts/deployments.md`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud; *login_hosts* begins with the one that is used, all are accepted in pasted endpoint URLs."""

    name: str
    login_hosts: tuple[str, ...]
    graph_root: str
    vault_suffix: str
    queue_suffix: str
    token_exchange_audience: str
    has_delta: bool = True

    @property
    def login_host(self) -> str:
        """The login host that is used."""
        return self.login_hosts[0]

    @property
    def scope(self) -> str:
        """The scope that stands for every permission of the registration."""
        return f"{self.graph_root}/.default"


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            "global",
            ("login.microsoftonline.com", "login.windows.net", "login.microsoft.com"),
            "https://graph.microsoft.com",
            "vault.azure.net",
            "queue.core.windows.net",
            "api://AzureADTokenExchange",
        ),
        Cloud(
            "us_gov_l4",
            ("login.microsoftonline.us",),
            "https://graph.microsoft.us",
            "vault.usgovcloudapi.net",
            "queue.core.usgovcloudapi.net",
            "api://AzureADTokenExchangeUSGov",
        ),
        Cloud(
            "us_gov_l5",
            ("login.microsoftonline.us",),
            "https://dod-graph.microsoft.us",
            "vault.usgovcloudapi.net",
            "queue.core.usgovcloudapi.net",
            "api://AzureADTokenExchangeUSGov",
        ),
        Cloud(
            "china",
            ("login.partner.microsoftonline.cn", "login.chinacloudapi.cn"),
            "https://microsoftgraph.chinacloudapi.cn",
            "vault.azure.cn",
            "queue.core.chinacloudapi.cn",
            "api://AzureADTokenExchangeChina",
            has_delta=False,
        ),
    )
}


def cloud_of_login_host(host: str) -> Cloud | None:
    """Return the cloud that a login host belongs to; of the two US clouds the L4 one."""
    return next((cloud for cloud in CLOUDS.values() if host.lower() in cloud.login_hosts), None)
