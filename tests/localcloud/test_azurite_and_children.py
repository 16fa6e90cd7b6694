"""How child processes of the local cloud are started, found and ended; Azurite is the one most tests need."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from azure.storage.queue import QueueServiceClient

from localcloud.__main__ import main
from localcloud.azurite import ACCOUNT, ACCOUNT_KEY, find_node
from localcloud.children import PROJECT, Child, ChildError, ReservedPort, answers
from localcloud.environment import (
    CONTAINERS,
    QUEUES,
    TABLES,
    create_storage,
    product_environment,
    stripped_environment,
)
from localcloud.processes import parse_environment, start_azurite, start_host

pytestmark = pytest.mark.enable_socket
SLEEPER = (
    "import sys, time; print('# ready', flush=True); print('log line', file=sys.stderr, flush=True); time.sleep(60)"
)


def child(script: str) -> Child:
    """Return a child that runs a Python script."""
    return Child("script", [sys.executable, "-c", script], dict(stripped_environment()))


def test_azurite_keeps_its_location(tmp_path: Path) -> None:
    """Storage is made once, made again without harm, and outlives Azurite in its folder."""
    for _ in range(2):
        azurite = start_azurite(location=tmp_path)
        text = azurite.connection_string
        create_storage(text)
        with (
            QueueServiceClient.from_connection_string(text) as queues,
            BlobServiceClient.from_connection_string(text) as blobs,
            TableServiceClient.from_connection_string(text) as tables,
        ):
            found = [
                sorted(each.name for each in listing) for listing in (queues.list_queues(), blobs.list_containers())
            ]
            found.append(sorted(each.name for each in tables.list_tables()))
        azurite.close()

        assert [sorted(QUEUES), sorted(CONTAINERS), sorted(TABLES)] == found
        assert not any(map(answers, azurite.ports.values()))


def test_azurite_forgets_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """A blob whose bytes are still on their way at SIGTERM is answered with 201, and there after the next start."""
    azurite = start_azurite(location=tmp_path)
    with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
        blobs.create_container("slow")
    rights, tomorrow = ContainerSasPermissions(create=True, write=True), datetime.now(UTC) + timedelta(days=1)
    query = generate_container_sas(ACCOUNT, "slow", account_key=ACCOUNT_KEY, permission=rights, expiry=tomorrow)
    head = f"PUT /{ACCOUNT}/slow/blob?{query} HTTP/1.1\r\nHost: 127.0.0.1:{azurite.ports['blob']}\r\n"
    try:
        with socket.create_connection(("127.0.0.1", azurite.ports["blob"])) as caller:
            caller.sendall(
                f"{head}x-ms-blob-type: BlockBlob\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            begun = caller.recv(1000)  # once the head is read
            caller.sendall(b"01234")
            ending = threading.Thread(target=azurite.stop)
            ending.start()
            time.sleep(0.3)
            caller.sendall(b"56789")
            answer = caller.recv(1000)
        ending.join()
        azurite.start()
        with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
            found = blobs.get_blob_client("slow", "blob").download_blob().readall()
    finally:
        azurite.close()

    assert begun.startswith(b"HTTP/1.1 100")
    assert answer.startswith(b"HTTP/1.1 201")
    assert b"0123456789" == found


def test_azurite_tells_another_time(tmp_path: Path) -> None:
    """With its clock shifted, what it answers and what it writes bears that time."""
    azurite = start_azurite(location=tmp_path)
    try:
        azurite.stop()
        azurite.shift_clock(75 * 3600)
        azurite.start()
        with BlobServiceClient.from_connection_string(azurite.connection_string) as blobs:
            made = blobs.create_container("later").get_container_properties().last_modified
    finally:
        azurite.close()

    assert timedelta(hours=74) < made - datetime.now(UTC) < timedelta(hours=76)


def test_node_is_new_enough() -> None:
    """The Node that is found runs."""
    done = subprocess.run([find_node(), "--version"], capture_output=True, check=True, text=True)

    assert int(done.stdout[1:].split(".")[0]) >= 20


def test_ready_kill_restart() -> None:
    """A child is ready once it says so, can be killed and started anew, and leaves no files behind."""
    with child(SLEEPER) as process:
        process.start(process.printed_ready)
        first = process.pid
        process.kill()
        alive = process.is_running()
        process.start(process.printed_ready)
        folder = process.log.parent
        status = process.terminate()
        tail = process.tail()

    assert first != process.pid
    assert (False, -signal.SIGTERM, "log line\nlog line\n") == (alive, status, tail)
    assert not folder.exists()


def test_early_end_shows_the_log() -> None:
    """A child that ends before it is ready is reported with its status and its last words."""
    with child("import sys; sys.exit('no room')") as process, pytest.raises(ChildError, match="status 1\nno room"):
        process.start(process.printed_ready)


def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    """When a parent is killed its children go with it."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a child of its parent's death")
    script = (
        "import os, sys, time\nfrom localcloud.children import Child\n"
        f"child = Child('inner', [sys.executable, '-c', {SLEEPER!r}], dict(os.environ))\n"
        "child.start(child.printed_ready)\nprint(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**stripped_environment(), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        inner = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while is_alive(inner) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not is_alive(inner)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs, not counting the dead whom nobody has collected."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def test_reserved_port_is_kept_for_its_child() -> None:
    """A reserved port is given to nobody else, but can be listened on by who knows it."""
    reserved = ReservedPort()
    others = [ReservedPort() for _ in range(50)]
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", reserved.number))
        listener.listen()
        busy = answers(reserved.number)
        with pytest.raises(ChildError, match="is taken"):
            ReservedPort(reserved.number)
    numbers = [other.number for other in others]
    for port in (reserved, *others):
        port.close()

    assert busy
    assert reserved.number not in numbers
    assert len(numbers) == len(set(numbers))


def test_environment_of_a_cloud() -> None:
    """What the cloud prints becomes an environment; what follows the ready line does not."""
    text = "# the cloud\nA=1 # 2\nexport B='x y'\nURL=http://127.0.0.1:1/?a=b\nnot a line\n# ready\nC=3\n"

    assert {"A": "1 # 2", "B": "x y", "URL": "http://127.0.0.1:1/?a=b"} == parse_environment(text)


def test_product_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product's environment holds nothing of the person's own cloud, and changes win."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "real")
    monkeypatch.setenv("MAIL_STORAGE", "real")
    found = product_environment(
        "conn",
        {"HTTPS_PROXY": "p"},
        "http://127.0.0.1:9",
        delivery_allow=("a:1", "b:2"),
        changes={"ADMIN_AUTH": "easyauth"},
    )

    assert "AZURE_CLIENT_SECRET" not in found
    assert ("conn", "conn", "p") == (found["MAIL_STORAGE"], found["AzureWebJobsStorage"], found["HTTPS_PROXY"])
    assert ("http://127.0.0.1:9", "a:1,b:2") == (found["PUBLIC_BASE_URL"], found["DELIVERY_ALLOW"])
    assert ("easyauth", os.environ["PATH"]) == (found["ADMIN_AUTH"], found["PATH"])


def test_func_is_asked_for_but_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """FUNCTIONS_HOST=func without `func` is an error, not a silent change of host."""
    monkeypatch.setenv("FUNCTIONS_HOST", "func")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(ChildError, match="no `func` on PATH"):
        start_host({})


def test_func_is_started_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FUNCTIONS_HOST=func starts `func start` in the app's folder, with the environment, and asks for no keys."""
    func = tmp_path / "func"
    server = (
        "import os, sys, http.server as s; print(*sys.argv[1:], os.getcwd(), os.environ['MAIL'], file=sys.stderr); "
    )
    serve = "h = s.SimpleHTTPRequestHandler; h.do_GET = lambda r: (r.send_response(200), r.end_headers()); "
    listen = "s.HTTPServer(('127.0.0.1', int(sys.argv[3])), h).serve_forever()"
    func.write_text(f"#!{sys.executable}\n{server}{serve}{listen}\n")
    func.chmod(0o755)
    monkeypatch.setenv("FUNCTIONS_HOST", "func")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    host = start_host({**stripped_environment(), "MAIL": "here"}, app_dir=tmp_path)
    said = host.log.read_text().splitlines()[0]
    host.close()

    assert f"start --port {host.port} {tmp_path} here" == said
    assert ("", "") == (host.host_key, host.master_key)


def test_commands_are_known() -> None:
    """A command that does not exist is refused with the usage."""
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])
