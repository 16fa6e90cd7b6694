"""`python -m localcloud fuzz`: everything that parses foreign input, against input made to break it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from localcloud.fuzz.targets import MB, Target, all_targets
from localcloud.fuzz.worker import Report, Worker, current_of, keep, processor_seconds

if TYPE_CHECKING:
    import argparse

PATIENCE = 4
"""How many times a target's seconds one input may take before its process is ended."""
FOLDER = Path(".cache") / "fuzz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--seconds", type=float, default=120, help="how long in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which inputs are drawn (default: %(default)s)")
    parser.add_argument("--targets", nargs="*", default=[], metavar="NAME", help="these alone (default: all)")
    parser.add_argument("--keep", type=Path, default=FOLDER, metavar="FOLDER", help="where failing inputs are put")
    parser.add_argument(
        "--again", type=Path, metavar="FILE", help="try this input with the target alone, and show its error"
    )


def run(args: argparse.Namespace) -> int:
    """Fuzz each target for its share of the time and print what was found; 1 where anything failed."""
    known = all_targets()
    unknown = [name for name in args.targets if name not in known]
    if unknown:
        print(f"There is no target {', '.join(unknown)}; there are {', '.join(known)}.")
        return 2
    targets = [known[name] for name in args.targets or known]
    if args.again:
        for target in targets:
            target.run(args.again.read_bytes())
        return 0
    args.keep.mkdir(parents=True, exist_ok=True)
    reports = [fuzz(target, args.seconds / len(targets), args.seed, args.keep) for target in targets]
    _show(reports)
    failures = sum(len(report.failures) for report in reports)
    counts = {"targets": len(reports), "inputs": sum(report.inputs for report in reports), "failures": failures}
    print(json.dumps({"seconds": args.seconds, "seed": args.seed, **counts}))
    return 1 if failures else 0


def fuzz(target: Target, seconds: float, seed: int, folder: Path) -> Report:
    """Try *target* for so long, in a process that is replaced where an input hangs or kills it."""
    whole, until, number = Report(target.name), time.monotonic() + seconds, 0
    while time.monotonic() < until and number < 20:
        _add(whole, _one_process(target, f"{seed} {number}", until, folder))
        number += 1
    current_of(folder, target).unlink(missing_ok=True)
    return whole


def _one_process(target: Target, seed: str, until: float, folder: Path) -> Report:
    context = multiprocessing.get_context("fork")
    began = context.Value("d", 0.0)
    receiving, sending = context.Pipe(duplex=False)

    def work(answers: Connection) -> None:
        logging.getLogger().addHandler(logging.NullHandler())  # thousands of warnings would hide the table
        worker = Worker(target, seed, folder, lambda moment: setattr(began, "value", moment))
        _told(answers, worker, lambda: worker.work(until))

    process = context.Process(target=work, args=(sending,), daemon=True)
    process.start()
    sending.close()
    ended, trying, spent = "", 0.0, 0.0
    while not receiving.poll(0.2):
        if began.value != trying:
            trying, spent = began.value, processor_seconds(process.pid)
        if trying and processor_seconds(process.pid) - spent > PATIENCE * target.seconds:
            process.kill()
            ended = "hangs"
            break
    try:
        report: Report = receiving.recv()
    except EOFError:
        process.join()
        report = Report(target.name)
        ended = ended or f"dies with exit code {process.exitcode}"
        report.failures[ended] = keep(folder, target, current_of(folder, target).read_bytes())
    process.join(5)
    return report


def _told(answers: Connection, worker: Worker, work: Callable[[], None]) -> None:
    work()
    answers.send(worker.report)


def _add(whole: Report, part: Report) -> None:
    whole.inputs += part.inputs
    whole.slowest, whole.peak = max(whole.slowest, part.slowest), max(whole.peak, part.peak)
    whole.lines = max(whole.lines, part.lines)
    whole.failures |= {what: name for what, name in part.failures.items() if what not in whole.failures}


def _show(reports: list[Report]) -> None:
    table = Table("target", "inputs", "failures", "slowest", "memory", "lines reached")
    for report in reports:
        row: list[Any] = [
            report.inputs,
            len(report.failures),
            f"{report.slowest:.2f} s",
            f"{report.peak / MB:.0f} MB",
            report.lines,
        ]
        table.add_row(report.name, *map(str, row))
    console = Console(width=120)
    console.print(table)
    for report in reports:
        for what, name in report.failures.items():
            console.print(f"{report.name}: {what}; input {name}", markup=False, highlight=False)
