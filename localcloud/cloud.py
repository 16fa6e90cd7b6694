"""How is the simulated Microsoft cloud put together, started and stopped: in this process, or by ``cloud``."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from starlette.applications import Starlette
from starlette.routing import Mount

from localcloud.control.app import control_app
from localcloud.entra.app import entra_app
from localcloud.entra.tokens import TokenIssuer
from localcloud.gateway.certificates import make_certificates
from localcloud.gateway.proxy import (
    CERTIFICATE_HOSTS,
    GRAPH_HOST,
    LOGIN_HOSTS,
    UPLOAD_HOST,
    Gateway,
    loopback_socket,
    port_of,
)
from localcloud.gateway.tls_server import HostDispatcher, QuietServer, make_server
from localcloud.managed_identity import IdentityEndpoint
from localcloud.seeds import SEEDS
from localcloud.vault.app import VaultService
from localcloud.world import World

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import FrameType

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

VAULT_URL = "https://mailgrant-local.vault.azure.net"
_START_SECONDS = 30.0
_STOP_SECONDS = 2.0


class MailServices(NamedTuple):
    """The mail part of the cloud: the apps of its two hosts, and its routes below the control endpoint's ``/mail``."""

    graph: ASGIApp
    uploads: ASGIApp
    control_routes: Sequence[BaseRoute]


def graph_mail(world: World, issuer: TokenIssuer) -> MailServices:
    """Return the Graph mail simulator for *world*."""
    # Imported late: mail is the heaviest part, and a test of the rest can do without.
    from localcloud.graph import control_routes, graph_app, uploads_app  # noqa: PLC0415
    from localcloud.mail.mailboxes import Mailboxes  # noqa: PLC0415

    mailboxes = Mailboxes(world)
    graph, uploads = graph_app(world, mailboxes, issuer), uploads_app(world, mailboxes)
    return MailServices(graph, uploads, control_routes(world, mailboxes))


class LocalCloud:
    """
    The whole cloud, served from a thread of its own. Usable as a context manager.

    Ports are free ones where 0. *home* is the operator's own tenant, where the vault, the managed identities and,
    usually, the app registration live. *mail* makes the mail services.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        gateway_port: int = 0,
        http_port: int = 0,
        mail: Callable[[World, TokenIssuer], MailServices] = graph_mail,
    ) -> None:
        self.world = world or World()
        self._mail = mail
        self.home = self.world.add_tenant("operator.example", "Operator")
        self.issuer = TokenIssuer(self.world)
        self.identity = self.world.add_identity(self.home)
        self.user_identity = self.world.add_identity(self.home, "mailgrant-credential")
        self.control_token = secrets.token_urlsafe(24)
        self._identity_header = secrets.token_urlsafe(24)
        self._wanted_ports = (gateway_port, http_port)
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_details: object) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """
        Listen, and return once every service answers.

        Raises:
            OSError: a port is taken.
            RuntimeError: it could not start for another reason, which is attached.
        """
        self._listen()
        self._directory = Path(tempfile.mkdtemp(prefix="mailgrant-cloud-"))
        self._thread = threading.Thread(target=self._run, name="local-cloud", daemon=True)
        self._thread.start()
        if self._ready.wait(_START_SECONDS) and self._failure is None:
            return
        shutil.rmtree(self._directory, ignore_errors=True)
        self._gateway_socket.close()
        self._http_socket.close()
        raise RuntimeError("the local cloud did not start") from self._failure

    def stop(self) -> None:
        """Close every connection and remove the temporary files."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(_STOP_SECONDS)
        shutil.rmtree(self._directory, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Return the variables that point an unmodified process at this cloud."""
        base, bundle = f"http://127.0.0.1:{port_of(self._http_socket)}", str(self._directory / "ca.pem")
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{port_of(self._gateway_socket)}",
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": bundle,
            "REQUESTS_CA_BUNDLE": bundle,
            "IDENTITY_ENDPOINT": f"{base}/msi/token",
            "IDENTITY_HEADER": self._identity_header,
            "KEY_VAULT_URL": VAULT_URL,
            "LOCALCLOUD_CONTROL_URL": f"{base}/control",
            "LOCALCLOUD_CONTROL_TOKEN": self.control_token,
            "LOCALCLOUD_HOME_TENANT": self.home.id,
            "LOCALCLOUD_IDENTITY_CLIENT_ID": self.user_identity.client_id,
        }

    def _listen(self) -> None:
        gateway_port, http_port = self._wanted_ports
        self._gateway_socket = loopback_socket(gateway_port)
        try:
            self._http_socket = loopback_socket(http_port)
        except OSError:
            self._gateway_socket.close()
            raise

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - start() reports it to whoever waits
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        certificates = make_certificates(CERTIFICATE_HOSTS)
        certificates.write_bundle(self._directory / "ca.pem")
        tls_socket = loopback_socket()
        simulated, http = self._apps()
        self._servers: list[QuietServer] = [make_server(simulated, certificates.server), make_server(http)]
        self._gateway = Gateway(port_of(tls_socket), self.world.counters)
        await self._gateway.start(self._gateway_socket)
        serving = [
            asyncio.ensure_future(server.serve(sockets=[listener]))
            for server, listener in zip(self._servers, (tls_socket, self._http_socket), strict=True)
        ]
        await asyncio.gather(*(server.listening() for server in self._servers))
        self._ready.set()
        await asyncio.gather(*serving)

    def _apps(self) -> tuple[ASGIApp, ASGIApp]:
        """Return the app of the TLS port and the one of the plain loopback port."""
        mail = self._mail(self.world, self.issuer)
        login = entra_app(self.world, self.issuer)
        hosts: dict[str, ASGIApp] = dict.fromkeys(LOGIN_HOSTS, login)
        hosts[GRAPH_HOST] = mail.graph
        hosts[UPLOAD_HOST] = mail.uploads
        vaults = VaultService(self.world, self.issuer, self.home).app()
        identity = IdentityEndpoint(self.world, self.issuer, self._identity_header)
        control = control_app(self.world, self.control_token, mail.control_routes)
        return HostDispatcher(hosts, vaults), Starlette(routes=[*identity.routes(), Mount("/control", control)])

    def _end(self) -> None:
        self._gateway.stop()
        for server in self._servers:
            server.should_exit = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``python -m localcloud cloud``."""
    parser.add_argument("--port", type=int, default=0, help="port of the CONNECT gateway (default: any free one)")
    parser.add_argument("--http-port", type=int, default=0, help="port of control and managed identity endpoints")
    parser.add_argument("--seed", choices=sorted(SEEDS), help="begin with tenants, people and an app registration")
    parser.add_argument("--env-file", type=Path, help="also write the environment to this file (mode 0600)")
    parser.add_argument("--json", action="store_true", help="print the environment as one line of JSON")


def run(args: argparse.Namespace) -> int:
    """Serve the cloud until SIGTERM or SIGINT; print the environment that leads a process to it."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    cloud = LocalCloud(gateway_port=args.port, http_port=args.http_port)
    extra = SEEDS[args.seed](cloud.world, cloud.home) if args.seed else {}
    with cloud:
        environment = cloud.environment() | extra
        lines = "".join(f"{name}={value}\n" for name, value in environment.items())
        if args.env_file is not None:
            _write_private(args.env_file, lines)
        print(json.dumps(environment) if args.json else f"{lines}# ready", flush=True)
        stopping.wait()
    if args.env_file is not None:
        args.env_file.unlink(missing_ok=True)
    return 0


def _write_private(path: Path, text: str) -> None:
    """Write *text*, which holds tokens, for the owner's eyes only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
