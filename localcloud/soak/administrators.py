"""What administrators do during a soak: secrets and consents, and connections that are disabled, deleted, made anew."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from localcloud.soak.stage import Stage

TRIES_SECONDS = 25.0
_TAKEN = (200, 201, 202, 204)


@dataclass
class Administrators:
    """Works on *stage* through whatever host answers; *counts* says what was done."""

    stage: Stage
    counts: Counter[str]

    def rotate(self, details: dict[str, Any]) -> None:
        """Have the app registration get a new secret, and once the product has proven it, lose those before."""
        owner, control = self.stage.organisations[details["organisation"]], self.stage.stack.control
        before = self._secrets_of(owner.client_id)
        fresh = control.add_secret(owner.client_id)
        path, body = f"credentials/{owner.credential['id']}/secret", {"client_secret": fresh["value"]}
        ends = time.monotonic() + TRIES_SECONDS
        proven = False
        while not proven and time.monotonic() < ends and not self.stage.over:
            answer = self.stage.insist("POST", path, body, host=details["host"])
            proven = answer.status_code in _TAKEN and answer.json().get("proven") is True
            time.sleep(0 if proven else 1)
        if proven:
            self.counts["rotations"] += 1
            time.sleep(details["pause"])
            for secret in before:
                control.remove_secret(owner.client_id, secret)

    def _secrets_of(self, client_id: str) -> list[str]:
        found = next(one for one in self.stage.stack.control.registrations() if one["client_id"] == client_id)
        return [str(secret_id) for secret_id in found["secrets"]]

    def revoke(self, details: dict[str, Any]) -> None:
        """Have a tenant take its consent back, and give it again."""
        owner, control = self.stage.organisations[details["organisation"]], self.stage.stack.control
        control.revoke(owner.tenant, owner.client_id)
        self.counts["revocations"] += 1
        time.sleep(details["pause"])
        control.consent(owner.tenant, owner.client_id)
        self.stage.insist("POST", f"grants/{owner.grant['id']}/verify", host=details["host"])

    def enable(self, person: str, host: int) -> None:
        """Let a destination that said that it was gone have its mail again; no matter where the connection is."""
        reader = self.stage.model.readers[person]
        self.stage.insist("PATCH", f"connections/{reader.connection_id}", {"enabled": True}, host=host)

    def connection(self, details: dict[str, Any]) -> None:
        """Disable a connection for a while, give it a new signing secret, or delete it and make it anew."""
        way, person, host = details["way"], details["person"], details["host"]
        self.counts[f"connections_{way}"] += 1
        if way.endswith("_sender"):
            self._sender_anew(person, details, host)
            return
        reader = self.stage.model.readers[person]
        path = f"connections/{reader.connection_id}"
        if way == "disable":
            self.stage.insist("PATCH", path, {"enabled": False}, host=host)
            time.sleep(details["pause"])
            self.stage.insist("PATCH", path, {"enabled": True}, host=host)
        elif way == "resign":
            at = self.stage.path_of(person)
            self.stage.receiver.secrets[at] = self.stage.new_secret(reader.connection_id, details["overlap"], host=host)
        elif self._deleted(path, host):
            with self.stage.model.lock:
                self.stage.model.gone.add(reader.connection_id)
            time.sleep(details["pause"])
            start = {"continue_from": reader.connection_id} if way == "continue" else "all"
            self.stage.connect_reader(reader, start, host=host)

    def _sender_anew(self, person: str, details: dict[str, Any], host: int) -> None:
        box = self.stage.model.boxes[person]
        discard = details["way"] == "discard_sender"
        if discard:
            box.discarded = True
        if not self._deleted(f"connections/{box.connection_id}{'?discard=true' if discard else ''}", host):
            return
        box.gone = True
        with self.stage.model.lock:
            self.stage.model.gone.add(box.connection_id)
        time.sleep(details["pause"])
        self.stage.connect_sender(person, host=host)

    def _deleted(self, path: str, host: int) -> bool:
        """Delete a connection as soon as no work of it is open; return whether it was."""
        ends = time.monotonic() + TRIES_SECONDS
        while time.monotonic() < ends and not self.stage.over:
            answer = self.stage.insist("DELETE", path, host=host)
            if answer.status_code != 409:
                answer.raise_for_status()
                return True
            time.sleep(0.5)
        return False
