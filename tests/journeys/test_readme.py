"""The commands of the README do what it says, each in a real shell, joined by nothing but what the others print."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from localcloud.azurite import Azurite
from localcloud.children import ReservedPort
from localcloud.processes import parse_environment, start_azurite

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"
READY = "# ready"
START_SECONDS = 120.0


def blocks(heading: str, changes: Mapping[str, str]) -> list[str]:
    """Return the bash blocks below *heading* of the README, with the places and ports of *changes* put in."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"^```bash\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [_changed(block, {".venv/bin/python": sys.executable, **changes}) for block in found]


def _changed(block: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        block = block.replace(old, new)
    return block


def bare_environment() -> dict[str, str]:
    """Return the environment of a fresh shell: nothing leads to the simulated cloud but what the commands set."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@pytest.fixture(name="shells")
def _shells() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(name="azurite")
def _azurite(shells: ExitStack) -> Azurite:
    azurite = start_azurite()
    shells.callback(azurite.close)
    return azurite


def start(shells: ExitStack, commands: str, output: Path) -> str:
    """Run *commands* in a shell of their own until the test ends; return what they have printed once they are ready."""
    with output.open("wb") as file:
        shell = subprocess.Popen(
            [BASH, "-euc", commands],
            cwd=ROOT,
            env=bare_environment(),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            start_new_session=True,
        )
    shells.callback(end, shell)
    deadline = time.monotonic() + START_SECONDS
    while READY not in (printed := output.read_text()).splitlines():
        assert shell.poll() is None, printed
        assert time.monotonic() < deadline, printed
        time.sleep(0.05)
    return printed


def end(shell: subprocess.Popen[bytes]) -> None:
    """Press Ctrl-C in a shell: its whole group gets the signal."""
    os.killpg(shell.pid, signal.SIGINT)
    try:
        shell.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def test_first_steps_of_an_administrator(shells: ExitStack, tmp_path: Path) -> None:
    """From `system` to a message that is sent, fetched and delivered: every command works as it stands there."""
    receiver = ReservedPort()
    shells.callback(receiver.close)
    printed = tmp_path / "run.env"
    up = f"exec {sys.executable} -m localcloud up --allow 127.0.0.1:{receiver.number}"
    start(shells, up, printed)
    steps = blocks("First steps of an administrator", {".cache/run.env": str(printed), "9000": str(receiver.number)})

    done = subprocess.run(
        [BASH, "-euo", "pipefail", "-c", "\n".join(steps)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env=bare_environment(),
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=240,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert '"status":"active","detail":"","usable":true' in done.stdout
    assert 1 == len(re.findall(r'"type": ?"mailgrant.message.received"', done.stdout))
    assert {'"fetched":1', '"delivered":1'} <= set(re.findall(r'"(?:fetched|delivered)":\d+', done.stdout))


def test_parts_run_one_by_one(shells: ExitStack, azurite: Azurite, tmp_path: Path) -> None:
    """Cloud and host in two shells, storage as a third process: health answers, and a credential can be created."""
    port = ReservedPort()
    shells.callback(port.close)
    environment_file = tmp_path / "cloud.env"
    cloud, host = blocks(
        "How it runs without Microsoft",
        {
            ".cache/cloud.env": str(environment_file),
            "UseDevelopmentStorage=true": azurite.connection_string,
            "7071": str(port.number),
        },
    )
    seed = parse_environment(start(shells, cloud, tmp_path / "cloud"))
    found = parse_environment(start(shells, host, tmp_path / "host"))
    headers = {"x-functions-key": found["FUNCTIONS_HOST_KEY"], "X-Mailgrant-Request": "1"}
    body = {
        "name": "Local",
        "grant_type": "admin_consent",
        "cloud": "global",
        "tenant": "organizations",
        "client_id": seed["LOCALCLOUD_CLIENT_ID"],
        "client_secret": seed["LOCALCLOUD_CLIENT_SECRET"],
    }

    with httpx.Client(base_url=found["FUNCTIONS_URL"], trust_env=False, timeout=30) as client:
        health = client.get("/api/health")
        made = client.post("/api/credentials", json=body, headers=headers)
        listed = client.get("/api/credentials", headers=headers).json()["data"]

    assert (200, "ok") == (health.status_code, health.json()["status"])
    assert (201, seed["LOCALCLOUD_CLIENT_ID"]) == (made.status_code, made.json()["client_id"])
    assert [made.json()["id"]] == [credential["id"] for credential in listed]
    assert parse_environment(environment_file.read_text()) == seed
