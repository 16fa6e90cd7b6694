"""Start the parts of the local cloud ready for use: Azurite, the simulated Microsoft cloud, the Functions host."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from localcloud.azurite import Azurite
from localcloud.children import PROJECT, READY_LINE, Child, ChildError, Fork, ReservedPort
from localcloud.environment import stripped_environment
from localcloud.host.keys import Keys, dump_keys, generate_keys, no_keys

HOST_READY_SECONDS = 60.0
# `func` may fetch its extension bundle first.
FUNC_READY_SECONDS = 180.0


class CloudProcess:
    """A running `python -m localcloud cloud`; *environment* points a process at it."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.environment = parse_environment(child.read_output())

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    def close(self) -> None:
        """Stop the process."""
        self._child.close()


class HostProcess:
    """
    A Functions host on one port, which survives `kill` and `restart`, as do its keys and its name among hosts.

    With FUNCTIONS_HOST=func in the environment it is `func start`, which asks for no keys.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        port: int | ReservedPort = 0,
        app_dir: Path = PROJECT,
        keys: Keys | None = None,
        folder: Path | None = None,
        fork: Fork | None = None,
    ) -> None:
        self._is_func = os.environ.get("FUNCTIONS_HOST") == "func"
        func = _find_func() if self._is_func else ""
        self._port = port if isinstance(port, ReservedPort) else ReservedPort(port)
        self.keys = no_keys() if self._is_func else keys or generate_keys()
        start = [func, "start", "--port", str(self.port)]
        command = start if self._is_func else _host_command(app_dir, self.port, self.keys)
        cwd = app_dir if self._is_func else PROJECT
        self._child = Child("host", command, self._complete(environment), folder=folder, cwd=cwd, fork=fork)

    @property
    def port(self) -> int:
        """Return the port the host listens on."""
        return self._port.number

    @property
    def url(self) -> str:
        """Return the base URL without a slash at its end; routes begin with `/api`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def master_key(self) -> str:
        """Return the key that opens everything; empty where none is asked for."""
        return self.keys.master

    @property
    def host_key(self) -> str:
        """Return the key that opens every function; empty where none is asked for."""
        return self.keys.host[0] if self.keys.host else ""

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._child.pid

    @property
    def log(self) -> Path:
        """Return the host's log file."""
        return self._child.log

    def tail(self) -> str:
        """Return the end of the host's log."""
        return self._child.tail()

    def start(self) -> None:
        """Start the host and wait until it answers; raises ChildError with the end of its log."""
        if self._is_func:
            self._child.start(self._pings, FUNC_READY_SECONDS)
        else:
            self._child.start(self._child.printed_ready, HOST_READY_SECONDS)

    def change_environment(self, changes: Mapping[str, str]) -> None:
        """Set these variables of the host from its next start on."""
        self._child.change_environment(changes)

    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self._child.is_running()

    def has_ended(self, within: float) -> bool:
        """Wait until the process has ended, for at most *within* seconds; tell whether it has."""
        try:
            self._child.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the host at once with SIGKILL, in the middle of whatever it does."""
        self._child.kill()

    def terminate(self, timeout: float = 35.0) -> int:
        """Let the host drain, for at most *timeout* seconds; return its exit status."""
        return self._child.terminate(timeout)

    def restart(self) -> None:
        """Start the host again on the same port with the same keys, killing it first if it runs."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Stop the host for good and give its port back."""
        self._child.close()
        self._port.close()

    def _complete(self, environment: Mapping[str, str]) -> dict[str, str]:
        own = {"LOCAL_HOST_INSTANCE_ID": str(uuid.uuid4()), "LOCAL_HOST_KEYS": dump_keys(self.keys)}
        if self._is_func:
            # func takes the first `python` on PATH otherwise; variables win over local.settings.json.
            own = {
                "FUNCTIONS_WORKER_RUNTIME": "python",
                "languageWorkers__python__defaultExecutablePath": sys.executable,
            }
        return {**own, **environment}

    def _pings(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/admin/host/ping", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def start_azurite(
    *, location: Path | None = None, ports: tuple[int, int, int] = (0, 0, 0), folder: Path | None = None
) -> Azurite:
    """Return a running Azurite, in memory unless *location* is given; raises ChildError."""
    azurite = Azurite(location=location, ports=ports, folder=folder)
    try:
        azurite.start()
    except ChildError:
        azurite.close()
        raise
    return azurite


def start_cloud(arguments: Sequence[str] = (), *, folder: Path | None = None) -> CloudProcess:
    """Return a running simulated Microsoft cloud, started with these command-line *arguments*; raises ChildError."""
    command = [sys.executable, "-m", "localcloud", "cloud", *arguments]
    child = Child("cloud", command, stripped_environment(), folder=folder)
    try:
        child.start(child.printed_ready)
    except ChildError:
        child.close()
        raise
    return CloudProcess(child)


def start_host(
    environment: Mapping[str, str],
    *,
    port: int | ReservedPort = 0,
    app_dir: Path = PROJECT,
    keys: Keys | None = None,
    folder: Path | None = None,
) -> HostProcess:
    """Return a running Functions host whose whole environment is *environment*; raises ChildError."""
    host = HostProcess(environment, port=port, app_dir=app_dir, keys=keys, folder=folder)
    try:
        host.start()
    except ChildError:
        host.close()
        raise
    return host


def parse_environment(text: str) -> dict[str, str]:
    """Return the shell-style `KEY=value` lines (also `export KEY='value'`) that stand before `# ready`."""
    values = {}
    for line in text.splitlines():
        if line == READY_LINE:
            break
        name, equals, value = line.removeprefix("export ").partition("=")
        if equals and name.isidentifier():
            values[name] = " ".join(shlex.split(value)) if value[:1] in ("'", '"') else value
    return values


def _host_command(app_dir: Path, port: int, keys: Keys) -> list[str]:
    # A developer's local.settings.json may lead to a real account.
    command = [sys.executable, "-m", "localcloud", "host", str(app_dir), "--port", str(port), "--no-local-settings"]
    return command if keys.enforced else [*command, "--no-keys"]


def _find_func() -> str:
    func = shutil.which("func")
    if not func:
        raise ChildError("FUNCTIONS_HOST=func, but there is no `func` on PATH")
    return func
