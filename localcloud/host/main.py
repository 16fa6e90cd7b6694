"""`python -m localcloud host`: run the Functions host on the environment it is started in."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import MutableMapping
from pathlib import Path

from localcloud import calls, killpoints, newer
from localcloud.host import clock, logs
from localcloud.host.config import load_config, load_local_settings
from localcloud.host.errors import RuntimeMissingError, StartError
from localcloud.host.keys import Keys, generate_keys, no_keys, parse_keys
from localcloud.host.server import CUT_OFF, Plan, serve

REFUSED, RUNTIME_MISSING = 1, 3
_PROJECT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of the host."""
    parser.add_argument(
        "app_dir", nargs="?", type=Path, default=_PROJECT, help="folder of function_app.py and host.json"
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one, printed)")
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--no-local-settings", action="store_true", help="do not read local.settings.json")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument(
        "--keys", type=Path, metavar="FILE", help="JSON file of keys (default: LOCAL_HOST_KEYS, else fresh ones)"
    )
    keys.add_argument("--no-keys", action="store_true", help="ask for no keys, as `func start` does")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def run(args: argparse.Namespace) -> int:
    """
    Serve until SIGTERM or SIGINT.

    Prints KEY=value lines and `# ready` on stdout once requests are answered. Returns 0 after a full drain, 1 when the
    app was refused or functions had to be cut off, 3 when this Python has no azure-functions-runtime.
    """
    logs.configure(args.log_level)
    clock.install(os.environ)
    killpoints.install(os.environ)
    calls.install(os.environ)
    newer.install(os.environ)
    try:
        code = asyncio.run(_serve(args, os.environ))
    except RuntimeMissingError as error:
        print(f"The host cannot run: {error}.", file=sys.stderr)
        return RUNTIME_MISSING
    except (StartError, OSError) as error:
        print(f"The host did not start.\n{error}", file=sys.stderr)
        return REFUSED
    sys.stdout.flush()
    if code == CUT_OFF:
        # Threads of functions that never end would keep the process alive.
        os._exit(code)
    return code


async def _serve(args: argparse.Namespace, environ: MutableMapping[str, str]) -> int:
    app_dir = args.app_dir.resolve()
    if not args.no_local_settings:
        load_local_settings(app_dir, environ)
    keys, generated = _keys(args, environ)
    listener = listen(args.bind, args.port)
    port = listener.getsockname()[1]

    def announce() -> None:
        lines = [f"FUNCTIONS_URL=http://{args.bind}:{port}"]
        if generated:
            lines += [f"FUNCTIONS_MASTER_KEY={keys.master}", f"FUNCTIONS_HOST_KEY={keys.host[0]}"]
        print(*lines, "# ready", sep="\n", flush=True)

    return await serve(Plan(load_config(app_dir, environ), keys, listener, environ, announce))


def listen(address: str, port: int) -> socket.socket:
    """Return a socket bound to *address* and *port* (0 for a free one); raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol left to its default of 0, asyncio would not set TCP_NODELAY on accepted connections.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} cannot be used: {error.strerror}") from error
    return listener


def _keys(args: argparse.Namespace, environ: MutableMapping[str, str]) -> tuple[Keys, bool]:
    """Return the keys to ask for, and whether they were made up here."""
    if args.no_keys:
        return no_keys(), False
    if args.keys:
        return parse_keys(args.keys.read_text(encoding="utf-8")), False
    if text := environ.get("LOCAL_HOST_KEYS"):
        return parse_keys(text), False
    return generate_keys(), True
