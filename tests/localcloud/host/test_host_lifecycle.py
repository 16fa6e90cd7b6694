"""How the local host starts, refuses to start, and goes down."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from localcloud.children import PROJECT
from localcloud.environment import stripped_environment
from tests.localcloud.host.conftest import Launch, wait_until

pytestmark = pytest.mark.enable_socket
needs_runtime = pytest.mark.skipif(
    importlib.util.find_spec("azure_functions_runtime") is None, reason="the functions host needs Python 3.13"
)
HEADER = "import azure.functions as func\napp = func.FunctionApp()\n"
FAULTY = {
    "import error": ("import no_such_module\n", "no_such_module"),
    "no app": ("answer = 42\n", "Could not find top level function app"),
    "two apps": (f"{HEADER}other = func.FunctionApp()\n", "More than one"),
    "parameter without binding": (
        f"{HEADER}@app.route(route='a')\ndef a(req: func.HttpRequest, extra: str) -> str:\n    return extra\n",
        "declared in Python but not in the function definition",
    ),
    "missing connection": (
        f"{HEADER}@app.queue_trigger(arg_name='m', queue_name='abc', connection='NOWHERE')\ndef a(m): ...\n",
        "a: the connection setting 'NOWHERE' is missing",
    ),
    "missing setting and bad schedule": (
        (
            f"{HEADER}@app.timer_trigger(arg_name='t', schedule='%NOT_SET%')\ndef a(t): ...\n"
            "@app.timer_trigger(arg_name='t', schedule='every day')\ndef b(t): ...\n"
        ),
        "a: the setting 'NOT_SET' named by '%NOT_SET%' is missing\nb: the schedule 'every day' is not valid NCRONTAB",
    ),
    "reserved route": (
        f"{HEADER}@app.route(route='administrators')\ndef a(req: func.HttpRequest) -> str:\n    return ''\n",
        "a: route 'administrators' conflicts with the built-in routes",
    ),
}


def run_host(folder: Path, *flags: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the host on *folder* until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "localcloud", "host", str(folder), *flags],
        capture_output=True,
        check=False,
        cwd=PROJECT,
        env={**stripped_environment(), "AzureWebJobsStorage": "UseDevelopmentStorage=true", **settings},
        text=True,
        timeout=90,
    )


@needs_runtime
@pytest.mark.parametrize("fault", FAULTY)
def test_faulty_app_does_not_start(tmp_path: Path, fault: str) -> None:
    """One function that the real host could not serve is enough to refuse the start, and is named."""
    source, expected = FAULTY[fault]
    (tmp_path / "function_app.py").write_text(source)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    done = run_host(tmp_path)

    assert (1, "") == (done.returncode, done.stdout)
    assert expected in done.stderr


@needs_runtime
def test_missing_host_json(tmp_path: Path) -> None:
    """A folder without host.json is no app."""
    done = run_host(tmp_path)

    assert 1 == done.returncode
    assert f"{tmp_path / 'host.json'} is missing" in done.stderr


def test_python_without_the_runtime(tmp_path: Path) -> None:
    """On a Python that Microsoft's runtime does not support the host says so, with a status of its own."""
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "azure_functions_runtime.py").write_text("raise ImportError('hidden')\n")
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    done = run_host(tmp_path, PYTHONPATH=str(hide))

    assert 3 == done.returncode
    assert "needs Python 3.13 or newer" in done.stderr


@needs_runtime
def test_local_settings_can_be_left_alone(tmp_path: Path) -> None:
    """Encrypted local settings are refused, unless the host is told not to read them at all."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    (tmp_path / "local.settings.json").write_text('{"IsEncrypted": true, "Values": {"A": "CfDJ8"}}')

    assert "local.settings.json is encrypted" in run_host(tmp_path).stderr
    assert "no functions found" in run_host(tmp_path, "--no-local-settings").stderr


def test_local_settings_and_generated_keys(launch: Launch, tmp_path: Path) -> None:
    """local.settings.json fills in what the environment does not say; keys are made up where none are given."""
    del launch
    (tmp_path / "host.json").write_text('{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}')
    settings = {"IsEncrypted": False, "Values": {"WORD": "from file", "OTHER": "from file"}}
    (tmp_path / "local.settings.json").write_text(json.dumps(settings))
    (tmp_path / "function_app.py").write_text(
        f"import os\n{HEADER}@app.route(route='words')\ndef words(req: func.HttpRequest) -> str:\n"
        "    return os.environ['WORD'] + ', ' + os.environ['OTHER']\n"
    )
    environment = {**stripped_environment(), "OTHER": "from environment"}
    command = [sys.executable, "-m", "localcloud", "host", str(tmp_path)]
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout
        printed = [host.stdout.readline().rstrip("\n") for _ in range(4)]
        values = dict(line.split("=", 1) for line in printed[:3])
        key = {"code": values["FUNCTIONS_HOST_KEY"]}
        answer = httpx.get(f"{values['FUNCTIONS_URL']}/words", params=key, trust_env=False, timeout=30)
        host.send_signal(signal.SIGINT)
        status = host.wait(60)

    assert "# ready" == printed[3]
    assert ("from file, from environment", "text/plain; charset=utf-8") == (answer.text, answer.headers["content-type"])
    assert 0 == status


def test_drain(launch: Launch) -> None:
    """After SIGTERM running functions finish and settle their message, nothing new begins, and the status is 0."""
    host = launch("drained")
    host.send("sleep 1.2", "drained")
    host.notes.wait("taken")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(httpx.get, f"{host.process.url}/api/slow/1.2", trust_env=False, timeout=30)
        host.notes.wait("slow-started")
        os.kill(host.process.pid, signal.SIGTERM)
        wait_until(lambda: "stopping: no new work" in host.process.log.read_text())
        host.send("too late", "drained")
        answer = slow.result()
    status = host.process.terminate()
    with host.queue("drained") as queue:
        left = [message.content for message in queue.peek_messages(5)]

    assert (200, {"done": True}, 0) == (answer.status_code, answer.json(), status)
    assert 1 == len(host.notes.all("slept"))
    assert 1 == len(left)
    assert [] == host.notes.all("taken", body="too late")


def test_drain_has_an_end(launch: Launch) -> None:
    """A function that does not end is cut off after the drain time, and the status tells."""
    host = launch("endless", LOCAL_HOST_DRAIN_SECONDS="0.3")
    host.send("sleep 60", "endless")
    host.notes.wait("taken")

    assert 1 == host.process.terminate(timeout=40)
    assert "were cut off" in host.process.tail()
