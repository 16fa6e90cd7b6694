"""The end of a soak: troubles taken back, all brought to quiet and judged; then days pass, and leftovers are judged."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient

from localcloud.environment import CONTAINERS
from localcloud.faults.intake import RECEIVED
from localcloud.faults.outbox import Outbox
from localcloud.faults.records import Records
from localcloud.soak.actors import Actors
from localcloud.soak.judge import Announced, Copy, Held, Verdict, judge_blobs, judge_drafts, judge_intake, judge_sending
from localcloud.soak.stage import Stage
from shared.schedule import SEND
from shared.stored_mail import INDEX_SUFFIX
from shared.times import from_key, to_text

DRAIN_SECONDS = 240.0
NUDGE_SECONDS = 20.0
DAYS_SECONDS = 75 * 3600
KEEPING_SECONDS = 180.0


@dataclass
class Ending:
    """Brings what *actors* did on *stage* to its end; *say* is told each step."""

    stage: Stage
    actors: Actors
    say: Callable[[str], None]

    def drain(self) -> Verdict:
        """
        Take every trouble back, wait until nothing is left to be done, and return what is wrong then.

        It is given up where `DRAIN_SECONDS` bring nothing nearer to quiet, though Graph asked for no pause.
        """
        self._calm()
        self._repair()
        began = nudged = moved = time.monotonic()
        least = math.inf
        self.nudge()
        while True:
            self._post_missing()
            verdict = self.look()
            now = time.monotonic()
            if verdict.total < least or self._asked_to_wait():
                least, moved = min(least, verdict.total), now
            if verdict.holds or now - moved > DRAIN_SECONDS:
                break
            if now - nudged > NUDGE_SECONDS:
                self.say(f"Not quiet yet: {'; '.join(verdict.some())}")
                self.nudge()
                nudged = time.monotonic()
            time.sleep(1)
        self.say(f"Quiet after {time.monotonic() - began:.0f} s" if verdict.holds else "Not quiet in time")
        return self.look(self._served(), last=True)

    def look(self, served: dict[str, str] | None = None, *, last: bool = False) -> Verdict:
        """Return what is wrong at this moment, leftovers aside; at the *last* look only what stays stuck is."""
        verdict, model = Verdict(), self.stage.model
        judge_intake(model, self._held(), self._announced(), served or {}, verdict)
        judge_sending(model, Outbox(self.stage.stack.storage).entries(), self._copies(), verdict)
        records = Records(self.stage.stack.storage, gone=model.gone, erased=model.erasing)
        verdict.broken["stuck"] += records.stays_stuck() if last else records.stuck()
        verdict.broken["wrong_state"] += records.unfinished_receipts()
        return verdict

    def age(self, verdict: Verdict) -> None:
        """Let days pass for storage and hosts, let the housekeeping end, and note what it left in *verdict*."""
        azurite = self.stage.stack.azurite
        for host in self.stage.hosts:
            host.terminate()
        azurite.stop()
        azurite.shift_clock(DAYS_SECONDS)
        azurite.start()
        self.stage.restart_hosts(DAYS_SECONDS)
        ends = time.monotonic() + KEEPING_SECONDS
        while (left := list(self._unkept())) and time.monotonic() < ends:
            time.sleep(0.5)
        verdict.broken["stuck"] += sorted(set(left))
        self.say("Days have passed, and the house is kept" if not left else "The housekeeping did not end in time")
        judge_blobs(self._blobs(), set(self._named()), verdict)
        entries = Outbox(self.stage.stack.storage).entries()
        for box in self.stage.model.boxes.values():
            messages = self.stage.stack.control.mailbox(box.address)["messages"]
            judge_drafts(self.stage.model, messages, entries, verdict)

    def _calm(self) -> None:
        control, receiver = self.stage.stack.control, self.stage.receiver
        control.clear_faults()
        control.set_modes(**dict.fromkeys(name for name in control.modes() if name.startswith("delta_")))
        receiver.troubles.clear()
        receiver.status = 204
        self.stage.restart_hosts()

    def _repair(self) -> None:
        """Do what administrators would: consent where it is missing, and make connections whose making failed."""
        control, stage = self.stage.stack.control, self.stage
        for owner in stage.organisations:
            if owner.client_id not in control.tenant(owner.tenant)["principals"]:
                control.consent(owner.tenant, owner.client_id)
            stage.insist("POST", f"grants/{owner.grant['id']}/verify")
        living = {one["id"] for one in stage.listed("connections")}
        for reader in stage.model.readers.values():
            if reader.connection_id not in living:
                stage.model.gone.add(reader.connection_id)
                stage.connect_reader(reader, {"continue_from": reader.connection_id})
        for person, box in list(stage.model.boxes.items()):
            if box.connection_id not in living:
                box.gone = True
                stage.model.gone.add(box.connection_id)
                stage.connect_sender(person)

    def nudge(self) -> None:
        """Let every connection go on at once, as an administrator can: what waits would come by itself, but later."""
        for reader in self.stage.model.readers.values():
            path = f"connections/{reader.connection_id}"
            if self.stage.insist("GET", path).json()["destination"]["status"] == "paused":
                self.stage.insist("PATCH", path, {"enabled": False})  # else it is tried once in up to 15 minutes
            self.stage.insist("PATCH", path, {"enabled": True})
            for mail in self.stage.listed(f"{path}/received", status="retrying"):
                # Answers 409 where it was fetched, and its destination is what it waits for.
                self.stage.insist("POST", f"received/{mail['id']}/retry")
            self.stage.insist("POST", f"{path}/fetch")

    def _post_missing(self) -> None:
        for order in self.stage.model.orders:
            if order.unanswered and order.body:
                self.actors.senders.post(order)

    def _asked_to_wait(self) -> bool:
        """Tell whether Graph asked for a pause of a mailbox that has not ended, or ended just now."""
        rows = Records(self.stage.stack.storage).rows("connections")
        before = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - NUDGE_SECONDS))
        return any((row.get("paused_until") or "") > before for row in rows)

    def _held(self) -> list[Held]:
        return [
            Held(person, item["immutable_id"], item["sha256"], item["folder"], item["is_read"])
            for person, reader in self.stage.model.readers.items()
            for item in self.stage.stack.control.mailbox(reader.address)["messages"]
        ]

    def _announced(self) -> list[Announced]:
        receiver = self.stage.receiver
        return [
            Announced(
                event["id"],
                event["data"]["connection_id"],
                event["data"]["raw"]["sha256"],
                len(receiver.bodies.get(event["id"], ())) > 1,
            )
            for event in receiver.of_type(RECEIVED)
        ]

    def _copies(self) -> list[Copy]:
        return [
            Copy(copy["subject"], copy["address"], copy["at"], tuple(file["sha256"] for file in copy["attachments"]))
            for copy in self.stage.stack.control.all_received()
        ]

    def _served(self) -> dict[str, str]:
        """Download what the events of living connections link to; return the SHA-256 by event id."""
        gone = self.stage.model.gone
        events = [one for one in self.stage.receiver.of_type(RECEIVED) if one["data"]["connection_id"] not in gone]
        with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(4) as pool:

            def digest(event: dict[str, Any]) -> str:
                answer = client.get(event["data"]["raw"]["link"])
                return hashlib.sha256(answer.content).hexdigest() if answer.is_success else str(answer.status_code)

            return dict(zip([event["id"] for event in events], pool.map(digest, events), strict=True))

    def _unkept(self) -> Iterator[str]:
        """Yield what the housekeeping has not come to yet."""
        rows = list(Records(self.stage.stack.storage).rows("connections"))
        later = _in_days(0)
        for row in rows:
            kind = row["RowKey"].split("|")
            if kind[0] == "keep" and kind[1] != "system":
                # One that is claimed stands due in minutes, one that is done on another day.
                claimed = row["stage"] == "living" and row["next_at"] < _in_days(12 * 3600)
                if claimed or row["stage"] == "purge":
                    yield f"housekeeping in stage {row['stage']} undone"
            if kind[0] == "b" and kind[2] == "run":
                tidy_at = json.loads(row.get("aftercare") or "{}").get("tidy_at")
                if tidy_at and tidy_at < later:
                    yield "old drafts not looked for"
            if kind[0] == "due" and kind[2] == SEND and kind[3] in self.stage.model.gone and _moment(kind[1]) < later:
                yield "old drafts of a deleted connection not looked for"

    def _blobs(self) -> dict[str, list[str]]:
        with BlobServiceClient.from_connection_string(self.stage.stack.storage) as blobs:
            return {name: list(blobs.get_container_client(name).list_blob_names()) for name in CONTAINERS}

    def _named(self) -> Iterator[str]:
        """Yield the paths that a receipt, an entry or an upload names."""
        for table in ("receipts", "outbox"):
            for row in Records(self.stage.stack.storage).rows(table):
                for name in ("blob", "payload"):
                    if row.get(name):
                        yield from (str(row[name]), str(row[name]) + INDEX_SUFFIX)


def _moment(key: str) -> str:
    """Return the time that a due row's key holds, as other rows hold it."""
    return to_text(from_key(key))


def _in_days(seconds: float) -> str:
    """Return the time *seconds* after now, as storage tells it with its clock shifted and as rows hold it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + DAYS_SECONDS + seconds))
