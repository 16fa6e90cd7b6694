"""One soak from its beginning to its figures: the schedule played on a stage, the end awaited, everything judged."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from localcloud.faults.outbox import LEFT
from localcloud.soak.actors import Actors
from localcloud.soak.ending import Ending
from localcloud.soak.judge import Verdict
from localcloud.soak.schedule import Action, plan
from localcloud.soak.stage import Stage


@dataclass
class Soak:
    """*seconds* of everything at once, drawn from *seed*; *folder* gets schedule, journal, logs and findings."""

    seconds: float
    seed: int
    folder: Path
    console: Console
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def play(self) -> dict[str, Any]:
        """Run the soak and return its figures."""
        actions = plan(self.seconds, self.seed)
        (self.folder / "schedule.jsonl").write_text("".join(f"{action.line()}\n" for action in actions))
        (self.folder / "journal.jsonl").unlink(missing_ok=True)
        storage = Path(tempfile.mkdtemp(prefix="storage-", dir=self.folder))
        with Stage(storage, lambda text: self.console.print(f"  {text}")) as stage:
            actors = Actors(stage, self._note)
            try:
                verdict, hits = self._played(stage, actors, actions)
            finally:
                for number, host in enumerate(stage.hosts):
                    shutil.copy(host.log, self.folder / f"host{number}.log")
        findings = {name: sorted(set(lines)) for name, lines in verdict.broken.items()}
        (self.folder / "findings.json").write_text(json.dumps(findings, indent=2) + "\n")
        if verdict.holds:
            shutil.rmtree(storage)
        return self._figures(stage, actors, verdict, hits)

    def _played(self, stage: Stage, actors: Actors, actions: list[Action]) -> tuple[Verdict, int]:
        self._act(actors, actions)
        stage.over = True
        self.console.print("  The time is up: whatever was begun is brought to its end")
        actors.finish()
        hits = sum(stage.stack.control.faults()["hits"].values()) + stage.receiver.troubled
        ending = Ending(stage, actors, lambda text: self.console.print(f"  {text}"))
        verdict = ending.drain()
        ending.age(verdict)
        return verdict, hits

    def _act(self, actors: Actors, actions: list[Action]) -> None:
        """Begin each action at its moment."""
        began = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task("soak", total=self.seconds)
            for action in actions:
                while (passed := time.monotonic() - began) < action.at:
                    time.sleep(min(0.25, action.at - passed))
                    progress.update(task, completed=passed, description=f"soak, {actors.counts['kills']} kills")
                self._note("begins", {"number": action.number, "kind": action.kind, "at": action.at})
                actors.begin(action)
            time.sleep(max(0.0, self.seconds - (time.monotonic() - began)))
            progress.update(task, completed=self.seconds)

    def _figures(self, stage: Stage, actors: Actors, verdict: Verdict, hits: int) -> dict[str, Any]:
        counts, states = actors.counts, verdict.states
        return {
            "seconds": round(time.monotonic() - self._began),
            "seed": self.seed,
            "kills": counts["kills"],
            "faults": hits,
            "received": len(stage.model.mails),
            "sent": sum(states[name] for name in LEFT),
            **{name: len(lines) for name, lines in verdict.broken.items()},
            "orders": len(stage.model.orders),
            **{name: states[name] for name in ("outcome_unknown", "cancelled", "failed", "no entry")},
            "repeats": stage.receiver.repeats,
            **{name: number for name, number in sorted(counts.items()) if name != "kills"},
            "holds": verdict.holds,
        }

    def _note(self, what: str, details: dict[str, Any]) -> None:
        line = json.dumps({"seconds": round(time.monotonic() - self._began, 2), "what": what, **details})
        with self._lock, (self.folder / "journal.jsonl").open("a") as journal:
            journal.write(f"{line}\n")
