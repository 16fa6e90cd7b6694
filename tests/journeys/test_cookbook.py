"""The cookbook: its lines run as they stand, one after the other, and ask for every route there is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from functions.openapi.routes import ROUTES
from localcloud.story import Organisation, Story

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"
REFUSED = {"consent_callback": 400, "consent_result": 404, "received_retry": 409}
"""What the cookbook shows being refused, and says so."""


@pytest.fixture(name="founded")
def _founded(story: Story) -> Organisation:
    """Return a tenant with an app registered that the product does not know yet."""
    return story.found("cookbook.example", "Cookbook")


def test_every_line_works_and_every_route_has_one(
    story: Story, founded: Organisation, receiver_port: int, tmp_path: Path
) -> None:
    """All blocks in one shell: each call answers as the page says, and together they reach the whole surface."""
    (tmp_path / "run.env").write_text(environment(story, founded), encoding="utf-8")
    # curl tells on stderr of every request that it made.
    (tmp_path / ".curlrc").write_text('write-out = "%{stderr}%{method} %{url_effective} %{http_code}\\n"\n')
    text = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
    changes = {
        ".cache/run.env": str(tmp_path / "run.env"),
        ".venv/bin/python": sys.executable,
        "contoso.example": founded.domain,
        "9000": str(receiver_port),
    }
    for old, new in changes.items():
        text = text.replace(old, new)

    done = subprocess.run(
        [
            BASH,
            "-euo",
            "pipefail",
            "-c",
            "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)),
        ],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=240,
    )
    calls = re.findall(r"^([A-Z]+) (http\S+) (\d{3})$", done.stderr, re.MULTILINE)
    seen = {(*route_of(method, url), int(status)) for method, url, status in calls}

    assert 0 == done.returncode, done.stdout[-1500:] + done.stderr[-1500:]
    assert {(name, method) for name, route in ROUTES.items() for method in route.methods} == {
        (name, method) for name, method, _ in seen
    }
    assert REFUSED == {name: status for name, _, status in seen if status >= 400}


def environment(story: Story, founded: Organisation) -> str:
    """Return what `make run` would print, with an app registration in the tenant."""
    redirect_uri = story.stack.admin.get("system")["redirect_uri"]
    app = story.stack.control.add_registration(founded.tenant, "Cookbook", [redirect_uri], multitenant=False)
    values = {
        "FUNCTIONS_URL": story.stack.host.url,
        "FUNCTIONS_HOST_KEY": story.stack.host.host_key,
        "LOCALCLOUD_CLIENT_ID": app["client_id"],
        "LOCALCLOUD_CLIENT_SECRET": app["secret"]["value"],
    }
    names = ("HTTPS_PROXY", "SSL_CERT_FILE", "LOCALCLOUD_CONTROL_URL", "LOCALCLOUD_CONTROL_TOKEN")
    values |= {name: story.stack.cloud[name] for name in names}
    return "".join(f"{name}={value}\n" for name, value in values.items())


def route_of(method: str, url: str) -> tuple[str, str]:
    """Return the function that answers a call, and the method; of several the one with the fewest parameters."""
    path = urlsplit(url).path.removeprefix("/api/")
    fitting = [
        (route.path.count("{"), name)
        for name, route in ROUTES.items()
        if method in route.methods and re.fullmatch(_pattern(route.path), path)
    ]
    return min(fitting)[1] if fitting else path, method


def _pattern(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "[^/]+", route.replace("{*path}", "{path}"))
