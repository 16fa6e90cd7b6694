"""Each target of `make fuzz` on its seeds and a few inputs made of them, and that the fuzzer sees what is wrong."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from localcloud.fuzz import fuzz, mutations, worker
from localcloud.fuzz.targets import MB, Target, all_targets
from localcloud.fuzz.worker import Worker

INPUTS = 15
OURS = ("mime", "bounce", "page", "words", "template", "message", "bodies", "payload", "proof", "http")


@pytest.mark.parametrize("name", OURS)
def test_a_few_inputs_break_nothing(name: str, tmp_path: Path) -> None:
    """Seeds, and the same few inputs at each run, fail in no way."""
    target = all_targets()[name]
    trying = Worker(target, "1", tmp_path, lambda _: None)
    random, seeds = Random(1), list(target.seeds())
    assert target.mutate is not None

    for data in seeds[:5]:
        trying.try_one(data)
    for _ in range(INPUTS):
        trying.try_one(target.mutate(random, random.choice(seeds), random.choice(seeds))[:20_000])

    assert {} == trying.report.failures


def _raises(data: bytes) -> None:
    if b"bad" in data:
        raise KeyError(data)


def _is_slow(data: bytes) -> None:
    until = time.process_time() + 0.1
    while b"bad" in data and time.process_time() < until:
        pass


def _hangs(data: bytes) -> None:
    while b"bad" in data:
        pass


def _is_large(data: bytes) -> None:
    assert len(bytes(64 * MB if b"bad" in data else 1).replace(b"\0", b"x")) > 0


def _dies(data: bytes) -> None:
    if b"bad" in data:
        os._exit(9)


@pytest.mark.parametrize(
    ("run", "found", "seconds"),
    [
        (_raises, "KeyError", 1.0),
        (_is_slow, "Slow", 0.05),
        (_hangs, "hangs", 0.05),
        (_is_large, "Large", 9.0),
        (_dies, "dies with exit code 9", 1.0),
    ],
)
def test_what_is_wrong_is_found_and_kept(
    run: Callable[[bytes], None], found: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error, slowness, a hang, too much memory and the end of the process: the input is in the folder."""
    monkeypatch.setattr(worker, "SHRINKING_SECONDS", 0.2)
    target = Target("made", run, lambda: (b"good", b"xxxxbadyyyy"), mutations.text, seconds=seconds, memory=MB)

    report = fuzz(target, 0.5, 1, tmp_path)

    assert found in str(report.failures)
    assert all(b"bad" in (tmp_path / name).read_bytes() for name in report.failures.values())


def test_failures_tell_a_place_and_never_the_input(tmp_path: Path) -> None:
    """What is printed is kind and line of the error; the shrunken input is kept beside it."""
    trying = Worker(Target("made", _raises), "1", tmp_path, lambda _: None)

    trying.try_one(b"secret" * 50 + b"bad" + b"secret" * 50)

    ((what, name),) = trying.report.failures.items()
    assert what.startswith("KeyError at")
    assert b"bad" == (tmp_path / name).read_bytes()
