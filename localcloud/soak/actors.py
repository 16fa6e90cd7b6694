"""Who does what the schedule says: hosts that die, storage that goes away, mail, senders, administrators, troubles."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from localcloud.children import ChildError
from localcloud.host.clock import OFFSET
from localcloud.soak.administrators import Administrators
from localcloud.soak.mails import mail
from localcloud.soak.repeats import Repeats
from localcloud.soak.schedule import Action
from localcloud.soak.senders import Senders
from localcloud.soak.stage import Stage, UnansweredError
from localcloud.soak.troubles import ENTRA, GONE, GRAPH, INVALID_CLIENT, RECEIVER, VAULT

START_SECONDS = 25.0
_WIDE = ("any", "trouble")
"""Lanes in which several things are done at once."""


@dataclass
class Actors:
    """Each action is done in the *lane* of what it touches, one after the other; *counts* says what was done."""

    stage: Stage
    note: Callable[[str, dict[str, Any]], None]
    counts: Counter[str] = field(default_factory=Counter)
    _lanes: dict[str, ThreadPoolExecutor] = field(default_factory=dict)
    _all: list[Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Have senders and administrators work on the same stage."""
        self.senders = Senders(self.stage, self.counts)
        self.administrators = Administrators(self.stage, self.counts)
        self.repeats = Repeats(self.stage, self.counts)

    def begin(self, action: Action) -> None:
        """Hand *action* to whoever does it."""
        details = action.details
        lanes = {
            "host": [f"host {number}" for number in self._hosts_of(details)],
            "storage": ["storage"],
            "mail": [f"mail {details.get('person')}"],
            "connection": [f"person {details.get('person')}"],
            "again": [f"person {details.get('person')}"],
            "rotate": [f"organisation {details.get('organisation')}"],
            "revoke": [f"organisation {details.get('organisation')}"],
            "outage": ["outage"],
            "trouble": ["trouble"],
        }.get(action.kind, ["any"])
        for lane in lanes:
            self._all.append(self._lane(lane).submit(self._do, action, lane))

    def finish(self) -> None:
        """Wait until everybody has ended what was begun; what has not begun by then is left."""
        for done in self._all:
            done.result()
        for pool in self._lanes.values():
            pool.shutdown()

    def _lane(self, name: str) -> ThreadPoolExecutor:
        if name not in self._lanes:
            self._lanes[name] = ThreadPoolExecutor(16 if name in _WIDE else 1, name)
        return self._lanes[name]

    @staticmethod
    def _hosts_of(details: dict[str, Any]) -> list[int]:
        return [0, 1] if details.get("way") == "kill_both" else [details.get("host", 0)]

    def _do(self, action: Action, lane: str) -> None:
        if self.stage.over:
            return
        began = time.monotonic()
        outcome = "done"
        try:
            if action.kind == "host":
                self._host(action.details, int(lane[-1]))
            else:
                self._way(action.kind)(action.details)
        except (UnansweredError, httpx.HTTPError, ChildError) as error:
            outcome = f"{type(error).__name__}: {str(error)[:80]}"
            self.counts["left"] += 1
        lasted = round(time.monotonic() - began, 2)
        self.note("did", {"number": action.number, "kind": action.kind, "outcome": outcome, "lasted": lasted})

    def _way(self, kind: str) -> Callable[[dict[str, Any]], None]:
        return {
            "storage": self._storage,
            "mail": self._mail,
            "send": self.senders.send,
            "trouble": self._trouble,
            "outage": self._outage,
            "connection": self.administrators.connection,
            "again": self.repeats.again,
            "pages": self._pages,
            "rotate": self.administrators.rotate,
            "revoke": self.administrators.revoke,
        }[kind]

    # Hosts and storage

    def _host(self, details: dict[str, Any], number: int) -> None:
        host = self.stage.hosts[number]
        if details["way"] == "freeze":
            with contextlib.suppress(ProcessLookupError):
                os.kill(host.pid, signal.SIGSTOP)
                time.sleep(details["pause"])
                os.kill(host.pid, signal.SIGCONT)
            self.counts["freezes"] += 1
            return
        if details["way"] == "terminate":
            host.terminate(timeout=20)
            self.counts["terminations"] += 1
        else:
            host.kill()
            self.counts["kills"] += 1
        time.sleep(details["pause"])
        host.change_environment({OFFSET: str(details["offsets"][number])})
        ends = time.monotonic() + START_SECONDS
        while True:
            try:
                host.start()
            except ChildError:  # storage is away
                if time.monotonic() > ends:
                    raise
                time.sleep(0.5)
            else:
                return

    def _storage(self, details: dict[str, Any]) -> None:
        azurite = self.stage.stack.azurite
        azurite.stop()
        time.sleep(details["pause"])
        azurite.start()
        self.counts["storage_restarts"] += 1

    # Mail

    def _mail(self, details: dict[str, Any]) -> None:
        model, control = self.stage.model, self.stage.stack.control
        reader = model.readers[details["person"]]
        mails = [
            mail(model.next_number(), form, large=details["large"] and not place)
            for place, form in enumerate(details["mails"])
        ]
        model.arrived(reader.person, control.deliver_many(reader.address, mails))
        for number in details["fetch"]:
            with contextlib.suppress(httpx.TransportError):
                self.stage.ask("POST", f"connections/{reader.connection_id}/fetch", host=number)

    def _pages(self, details: dict[str, Any]) -> None:
        """Let Graph list a folder as it was seen to: with empty pages, messages named twice, or what went first."""
        name = f"{details['mode']}:{self.stage.model.readers[details['person']].address}"
        self.stage.stack.control.set_modes(**{name: 2})
        time.sleep(details["seconds"])
        self.stage.stack.control.set_modes(**{name: None})
        self.counts["pages"] += 1

    # Troubles

    def _trouble(self, details: dict[str, Any]) -> None:
        name, person, times = details["name"], details["person"], details["times"]
        control, model = self.stage.stack.control, self.stage.model
        if details["where"] == "receiver":
            waiting = [RECEIVER[name]] * (1 if name == GONE else times)
            self.stage.receiver.troubles[self.stage.path_of(person)] = waiting
            time.sleep(details["pause"])
            if name == GONE:
                self.administrators.enable(person, details["host"])
            waiting.clear()
            return
        service, pool = {"graph": ("graph", GRAPH), "entra": ("entra", ENTRA), "vault": ("vault", VAULT)}[
            details["where"]
        ]
        operation, effect = pool[name]
        address = model.readers[person].address if person in model.readers else model.boxes[person].address
        keyed = service == "graph" and operation != "batch" and not details["anyone"]
        fault = control.add_fault(service, operation, effect, times=times, **({"key": address} if keyed else {}))
        # Were troubles to wait for whoever comes, all mailboxes would soon be backing off, and nothing happen any more.
        time.sleep(details["pause"])
        control.remove_fault(fault)

    def _outage(self, details: dict[str, Any]) -> None:
        control, where = self.stage.stack.control, details["where"]
        if where == "receiver":
            self.stage.receiver.status = 503
            time.sleep(details["seconds"])
            self.stage.receiver.status = 204
            return
        service, operation, effect = {
            "entra": ("entra", "token", {"kind": "status", "status": 503}),
            "vault": ("vault", "*", {"kind": "status", "status": 503}),
            "invalid_client": ("entra", "token", INVALID_CLIENT),
        }[where]
        fault = control.add_fault(service, operation, effect, times=0)
        time.sleep(details["seconds"])
        control.remove_fault(fault)
