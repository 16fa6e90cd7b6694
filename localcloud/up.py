"""`python -m localcloud up`: everything at once, for a person who wants to try the product."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from localcloud.azurite import Azurite
from localcloud.children import ChildError, ReservedPort
from localcloud.control.client import ControlClient
from localcloud.environment import create_storage, product_environment
from localcloud.processes import CloudProcess, HostProcess, start_azurite, start_cloud, start_host

_WATCH_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    for name, what in (
        ("port", "the Functions host"),
        ("cloud-port", "the gateway"),
        ("control-port", "the control endpoint"),
    ):
        parser.add_argument(f"--{name}", type=int, default=0, help=f"port of {what} (default: a free one)")
    for service in ("blob", "queue", "table"):
        parser.add_argument(
            f"--{service}-port", type=int, default=0, help=f"port of Azurite's {service}s (default: free)"
        )
    parser.add_argument(
        "--location", type=Path, metavar="FOLDER", help="keep storage in this folder (default: in memory)"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="what webhooks may reach besides public addresses, such as a receiver of your own; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    """Start everything, say how to use it, and stay until SIGTERM or SIGINT; returns 1 when a part fails."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with contextlib.ExitStack() as stack:
        try:
            return _run(args, stopping, stack)
        except ChildError as error:
            print(error, file=sys.stderr)
            return 1


def _run(args: argparse.Namespace, stopping: threading.Event, stack: contextlib.ExitStack) -> int:
    azurite = start_azurite(location=args.location, ports=(args.blob_port, args.queue_port, args.table_port))
    stack.callback(azurite.close)
    create_storage(azurite.connection_string)
    _say(f"Azurite runs (blobs, queues and tables on ports {', '.join(map(str, azurite.ports.values()))})")
    cloud = _start_cloud(args)
    stack.callback(cloud.close)
    _say("the simulated Microsoft cloud runs, with the tenants contoso.example and fabrikam.example")
    host = _start_host(args, azurite, cloud)
    stack.callback(host.close)
    print(_instructions(host, cloud.environment), flush=True)
    while not stopping.wait(_WATCH_SECONDS):
        if not host.is_running():
            raise ChildError(f"the host has ended; the end of its log:\n{host.tail()}")
    _say("stopping")
    return 0


def _start_cloud(args: argparse.Namespace) -> CloudProcess:
    ports = ["--port", str(args.cloud_port), "--http-port", str(args.control_port)]
    return start_cloud(["--seed", "demo", *ports])


def _start_host(args: argparse.Namespace, azurite: Azurite, cloud: CloudProcess) -> HostProcess:
    port = ReservedPort(args.port)
    url = f"http://127.0.0.1:{port.number}"
    found = cloud.environment
    with ControlClient(found["LOCALCLOUD_CONTROL_URL"], found["LOCALCLOUD_CONTROL_TOKEN"]) as control:
        control.change_registration(found["LOCALCLOUD_CLIENT_ID"], redirect_uris=[f"{url}/api/consent/callback"])
    environment = product_environment(azurite.connection_string, found, url, delivery_allow=args.allow)
    return start_host(environment, port=port)


def _instructions(host: HostProcess, cloud: Mapping[str, str]) -> str:
    """Return the environment of the simulated cloud, and an administrator's first steps."""
    api, key = f"{host.url}/api", host.host_key
    environment = "\n".join(f"{name}={shlex.quote(value)}" for name, value in sorted(cloud.items()))
    headers = f'-H "x-functions-key: {key}" -H "X-Mailgrant-Request: 1" -H "Content-Type: application/json"'
    credential = (
        f'{{"name": "Local", "client_id": "{cloud["LOCALCLOUD_CLIENT_ID"]}", "grant_type": "admin_consent", '
        f'"auth_method": "secret", "cloud": "global", "tenant": "organizations", '
        f'"client_secret": "{cloud["LOCALCLOUD_CLIENT_SECRET"]}"}}'
    )
    return f"""
# the environment that leads a process to the simulated cloud
{environment}
FUNCTIONS_URL={host.url}
FUNCTIONS_HOST_KEY={key}
FUNCTIONS_MASTER_KEY={host.master_key}

Console  {api}/console
Health   {api}/health
Log      {host.log}

First steps of an administrator:
1. Create a credential:
   curl {headers} -d '{credential}' {api}/credentials
2. Create a consent link with the id from its answer:
   curl {headers} -d '{{}}' {api}/credentials/ID/consent-links
3. Open the link in a browser that goes through the gateway ({cloud["HTTPS_PROXY"]}), choose a tenant and accept:
   admin@contoso.example and admin@fabrikam.example may consent.
4. Create a connection for ann@contoso.example: POST {api}/connections
Run a function by hand: curl -H "x-functions-key: {host.master_key}" -H "Content-Type: application/json" \\
   -d '{{"input": ""}}' {host.url}/admin/functions/NAME
Ctrl-C stops everything.
# ready"""


def _say(text: str) -> None:
    print(f"- {text}", file=sys.stderr, flush=True)
