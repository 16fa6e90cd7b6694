"""The API's description against the running host: Schemathesis finds no status, type or field that is not in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.story import Organisation, Story

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES, MOST_SECONDS = 3, 240


def config(connections: dict[str, str], tokens: dict[str, str]) -> str:
    """Return Schemathesis's settings: each route gets an id that there is, and the token of its scope."""
    parts = []
    ids = [
        (r"^/api/connections/\{id\}/(outbox|hooks|templates|tokens)", connections["outgoing"]),
        (r"^/api/connections/\{id\}(?!/(outbox|hooks|templates|tokens))", connections["incoming"]),
    ]
    for pattern, value in ids:
        parts.append(
            f"[[operations]]\ninclude-path-regex = '{pattern}'\nexclude-method = 'DELETE'\n"
            f"parameters = {{ 'path.id' = '{value}' }}\n"
        )
    for pattern, scope in ((r"^/api/(messages|uploads)", "send"), (r"^/api/inbox", "receive")):
        header = f"'X-Mailgrant-Token' = '{tokens[scope]}'"
        parts.append(f"[[operations]]\ninclude-path-regex = '{pattern}'\nheaders = {{ {header} }}\n")
    return "\n".join(parts)


def test_schemathesis_finds_nothing(story: Story, consented: Organisation, tmp_path: Path) -> None:
    """Right and wrong requests to every route: no server error, and every answer is as described."""
    admin, host = story.stack.admin, story.stack.host
    incoming = story.connect_incoming(consented, "box", enabled=False)["id"]
    outgoing, send = story.connect_outgoing(consented, "ann", enabled=False)
    connections = {"incoming": incoming, "outgoing": outgoing["id"]}
    receive = admin.post(f"connections/{incoming}/tokens", {"scope": "receive"})["token"]
    tokens = {"send": send, "receive": receive}
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(config(connections, tokens), encoding="utf-8")
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("st")), "--config-file", str(settings), "--no-color"),
            *("run", f"{host.url}/api/openapi.json", "--url", host.url),
            *("--header", f"x-functions-key:{host.host_key}", "--header", "X-Mailgrant-Request:1"),
            *("--phases", "fuzzing", "--checks", CHECKS, "--max-examples", str(EXAMPLES)),
            "--generation-deterministic",
            *("--generation-with-security-parameters", "false", "--no-shrink", "--continue-on-failure"),
            *("--warnings", "off", "--max-redirects", "0", "--workers", "2"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
        timeout=MOST_SECONDS,
        check=False,
    )
    selected = re.search(r"Selected: (\d+)/", done.stdout)

    assert 0 == done.returncode, done.stdout[-5000:] + done.stderr[-1000:]
    assert len(operations_of(story)) == int(selected.group(1) if selected else 0)


def operations_of(story: Story) -> list[str]:
    """Return every operation that the running host describes but the one that Schemathesis itself reads it by."""
    document = story.stack.admin.get("openapi.json")
    found = [f"{method} {path}" for path, item in document["paths"].items() for method in item]
    found.remove("get /api/openapi.json")
    return found
