"""A cloud per client, what its run saw there, and what the mailboxes hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localcloud.control.client import ControlClient
from localcloud.foreign.environments import python_of
from localcloud.foreign.running import run_client
from localcloud.processes import start_cloud
from tests.foreign.letters import FOLDER, letters

BUSY = {
    "kind": "status",
    "status": 429,
    "headers": {"Retry-After": "1"},
    "body": {"error": {"code": "TooManyRequests", "message": "Please retry again later."}},
}


@dataclass
class Visit:
    """One run of a client through Ann's mailbox; *saw* is what it reported, by step."""

    control: ControlClient
    before: list[dict[str, Any]]
    saw: dict[str, Any] = field(default_factory=dict)
    traffic: list[dict[str, Any]] = field(default_factory=list)

    ann = "ann@contoso.example"
    bob = "bob@contoso.example"

    def messages(self, folder: str) -> dict[str, dict[str, Any]]:
        """Return Ann's messages in a folder, by subject."""
        found = self.control.mailbox(self.ann)["messages"]
        return {message["subject"]: message for message in found if message["folder"] == folder}

    def folders(self) -> list[str]:
        """Return the names of the folders that were made, wherever they lie."""
        return sorted(item["name"] for item in self.control.mailbox(self.ann)["folders"] if not item["well_known"])

    def arrived(self, subject: str) -> dict[str, Any]:
        """Return the one copy with this subject that reached Bob."""
        (copy,) = [copy for copy in self.control.received(self.bob) if copy["subject"] == subject]
        return copy

    def statuses(self, operation: str) -> list[int]:
        """Return with which statuses this operation was answered."""
        return [exchange["status"] for exchange in self.traffic if exchange["operation"] == operation]


@pytest.fixture(scope="module")
def visit(
    tmp_path_factory: pytest.TempPathFactory, outer_environment: Mapping[str, str]
) -> Iterator[Callable[[str], Visit]]:
    """Return what lets a client loose on a cloud of its own, whose traffic is recorded."""
    cloud = start_cloud()
    environment = cloud.environment
    with ControlClient(environment["LOCALCLOUD_CONTROL_URL"], environment["LOCALCLOUD_CONTROL_TOKEN"]) as control:

        def run(name: str) -> Visit:
            python = python_of(name, outer_environment)
            tenant = control.add_tenant("contoso.example", "Contoso")["id"]
            for address in (Visit.ann, Visit.bob):
                control.add_user(tenant, address, address.partition("@")[0].capitalize())
            app = control.add_registration(tenant, name, ["https://app.contoso.example/"], multitenant=False)
            control.consent(tenant, app["client_id"])
            control.deliver_many(Visit.ann, letters(Visit.ann))
            control.record_traffic(on=True)
            control.add_fault("graph", "folders.list", BUSY)
            found = Visit(control, control.mailbox(Visit.ann)["messages"])
            asked = {
                "client_id": app["client_id"],
                "client_secret": app["secret"]["value"],
                "tenant": tenant,
                "mailbox": Visit.ann,
                "colleague": Visit.bob,
                "folder": FOLDER,
            }
            scratch: Path = tmp_path_factory.mktemp(name)
            found.saw = run_client(name, python, asked, environment, scratch)
            found.traffic = control.traffic()
            return found

        yield run
    cloud.close()
