"""What people do once more during a soak: mail delivered again, erased, or sent again though nobody knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from localcloud.faults.intake import RECEIVED
from localcloud.soak.stage import Stage

_RESENDABLE = ("failed", "cancelled", "outcome_unknown")


@dataclass
class Repeats:
    """Works on *stage* through whatever host answers; *counts* says what was taken."""

    stage: Stage
    counts: Counter[str]

    def again(self, details: dict[str, Any]) -> None:
        """Do what *details* say for one mail or connection of a person, if there is any to do it for."""
        way = {"redeliver": self._redeliver, "erase": self._erase, "resend": self._resend}.get(details["way"])
        if way is not None:
            way(details["person"], details["pick"], details["host"])
            return
        path = f"connections/{self.stage.model.readers[details['person']].connection_id}/redeliver"
        answer = self.stage.insist("POST", path, {"status": "delivered"}, host=details["host"])
        self.counts[f"redeliver_all {answer.status_code}"] += 1

    def _redeliver(self, person: str, pick: float, host: int) -> None:
        event = self._announced(person, pick)
        if event:
            answer = self.stage.insist("POST", f"received/{event}/redeliver", host=host)
            self.counts[f"redeliver {answer.status_code}"] += 1

    def _erase(self, person: str, pick: float, host: int) -> None:
        event, model = self._announced(person, pick), self.stage.model
        if not event:
            return
        with model.lock:
            model.erasing.add(event)
        answer = self.stage.insist("DELETE", f"received/{event}", host=host)
        self.counts[f"erase {answer.status_code}"] += 1
        if answer.status_code == 204:
            with model.lock:
                model.erased.add(event)

    def _resend(self, person: str, pick: float, host: int) -> None:
        """Send one more time what was not sent for sure; the key makes a second post of the same harmless."""
        orders = [one for one in list(self.stage.model.orders) if one.box.person == person and one.entries]
        start = int(pick * len(orders))
        for order in [*orders[start:], *orders[:start]]:
            if order.resent:
                continue
            path = f"outbox/{next(iter(order.entries))}"
            entry = self.stage.insist("GET", path, host=host)
            if entry.status_code != 200 or entry.json()["status"] not in _RESENDABLE:
                continue
            order.resent = True
            body = {"accept_duplicate": entry.json()["status"] == "outcome_unknown"}
            answer = self.stage.insist("POST", f"{path}/resend", body, host=host, key=f"again-{order.number}")
            self.counts[f"resend {answer.status_code}"] += 1
            if answer.status_code == 202:
                order.again.add(str(answer.json()["id"]))
            return

    def _announced(self, person: str, pick: float) -> str:
        """Return the id of one of the mails that the person's present connection has announced, '' without any."""
        connection = self.stage.model.readers[person].connection_id
        events = self.stage.receiver.of_type(RECEIVED)
        mine = [str(event["id"]) for event in events if event["data"]["connection_id"] == connection]
        return mine[int(pick * len(mine))] if mine else ""
