"""Everything at once: Azurite, the simulated cloud, the product in its host, and a webhook receiver."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from localcloud.administrator import Administrator
from localcloud.browser import Browser
from localcloud.children import ReservedPort
from localcloud.control.client import ControlClient
from localcloud.environment import create_storage, product_environment
from localcloud.processes import HostProcess, start_azurite, start_cloud
from localcloud.receiver import Receiver
from localcloud.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from localcloud.children import Fork

# How the demo and the tests scale the product's periods; the protocols are the same at any scale.
BRISK = {
    "TICK_SCHEDULE": "*/1 * * * * *",
    "TURN_LEASE_SECONDS": "6",
    "SEND_LOOK_SECONDS": "1",
    "SEND_LOOK_GAP_SECONDS": "1",
    "SEND_QUIET_SECONDS": "3",
    "CONFIRM_SECONDS": "1",
    "CONSENT_RECHECK_SECONDS": "1",
    "DELIVERY_RETRY_SECONDS": "1",
    "LOCAL_HOST_QUEUE_LEASE_SECONDS": "6",
}

ALARM_SECRET = "whsec_bWFpbGdyYW50IGFsYXJtcyBpbiB0ZXN0cw=="


@dataclass
class Stack:
    """
    A running product with all that it needs; use as a context manager.

    *changes* are settings on top of `BRISK`. *say* is told each step as it happens. The host may be killed and started
    again; *forked* makes each start several times faster, where the system allows it. *alarmed* has alarms go to a
    receiver of their own, *alarms*. *allow* lists as `host:port` what webhooks may reach besides these receivers.
    With *location* storage is kept in that folder, and *azurite* may be stopped and started again.
    """

    changes: Mapping[str, str] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None
    forked: bool = False
    alarmed: bool = False
    allow: Sequence[str] = ()
    location: Path | None = None
    alarms: Receiver = field(default_factory=Receiver)
    _open: ExitStack = field(default_factory=ExitStack)
    _fork: Fork | None = None

    def __enter__(self) -> Self:
        """Start all parts; those already started are stopped where a later one fails."""
        try:
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all parts, the host first."""
        self._open.close()

    def _start(self) -> None:
        self.say("Azurite: tables, queues and blobs on free ports")
        self.azurite = start_azurite(location=self.location)
        self._open.callback(self.azurite.close)
        self.storage = self.azurite.connection_string
        create_storage(self.storage)
        self.say("Simulated Microsoft cloud: gateway, Entra, Graph, Key Vault, managed identity")
        cloud = start_cloud()
        self._open.callback(cloud.close)
        self.cloud = cloud.environment
        self.control = ControlClient(self.cloud["LOCALCLOUD_CONTROL_URL"], self.cloud["LOCALCLOUD_CONTROL_TOKEN"])
        self._open.callback(self.control.close)
        self.receiver = Receiver()
        self.receiver.start()
        self._open.callback(self.receiver.stop)
        if self.alarmed:
            self.alarms.secrets["alarms"] = ALARM_SECRET
            self.alarms.start()
            self._open.callback(self.alarms.stop)
        self.say("Functions host: indexes and starts the product")
        self.host = self._make_host()
        self._open.callback(self.host.close)
        self.host.start()
        self.admin = Administrator(self.host.url, self.host.host_key)
        self._open.callback(self.admin.close)

    def _make_host(self) -> HostProcess:
        port = ReservedPort(0)
        receivers, alarming = [self.receiver], {}
        if self.alarmed:
            receivers.append(self.alarms)
            alarming = {"ALERT_WEBHOOK": self.alarms.url("alarms"), "ALERT_WEBHOOK_SECRET": ALARM_SECRET}
        environment = product_environment(
            self.storage,
            self.cloud,
            f"http://127.0.0.1:{port.number}",
            delivery_allow=[*(f"127.0.0.1:{receiver.port}" for receiver in receivers), *self.allow],
            changes={**BRISK, **alarming, **self.changes},
        )
        self.environment = environment
        if self.forked and Zygote.supported() and "FUNCTIONS_HOST" not in os.environ:
            zygote = Zygote(environment)
            self._open.callback(zygote.close)
            self._fork = zygote.fork
        return HostProcess(environment, port=port, fork=self._fork)

    def second_host(self) -> HostProcess:
        """Return another host on the same storage, not started, with a port and a name among hosts of its own."""
        return HostProcess(self.environment, fork=self._fork)

    def browser(self) -> Browser:
        """Return a fresh browser; close it yourself."""
        return Browser(self.cloud["HTTPS_PROXY"], self.cloud["SSL_CERT_FILE"])
