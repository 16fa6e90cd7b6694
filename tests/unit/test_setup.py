"""The set-up finds programs that work, repairs what is half done, and leaves alone what is current."""

import fcntl
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from localcloud.setup import __main__ as command
from localcloud.setup import jobs, programs, steps


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty checkout that the set-up takes for its own."""
    (tmp_path / ".cache").mkdir()
    monkeypatch.setattr(steps, "ROOT", tmp_path)
    monkeypatch.setattr(jobs, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(command, "CACHE", tmp_path / ".cache")
    return tmp_path


def program(path: Path, script: str) -> Path:
    """Write a program that does *script* in sh."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Make PATH, HOME and pyenv's root know *folders* and nothing else of this machine."""
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))
    monkeypatch.setattr(Path, "home", lambda: Path("/nowhere"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)


def test_shim_that_fails_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A python3.13 that cannot run does not hide a later one on PATH that can."""
    program(tmp_path / "shims/python3.13", "echo 'pyenv: command not found' >&2; exit 127")
    good = program(tmp_path / "bin/python3.13", "echo 3 13")
    on_path(monkeypatch, tmp_path / "shims", tmp_path / "bin")

    assert good == programs.installed_python()


def test_python_with_ensurepip_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two interpreters, the one that can put pip into a virtual environment by itself is taken."""
    program(tmp_path / "debian/python3.13", 'case "$*" in *ensurepip*) exit 1;; *) echo 3 13;; esac')
    whole = program(tmp_path / "bin/python3.13", "echo 3 13")
    on_path(monkeypatch, tmp_path / "debian", tmp_path / "bin")

    assert whole == programs.installed_python()


def test_pyenv_is_found_by_its_shims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions beside a folder of shims on PATH are found, the newest 3.13 first and no other version at all."""
    wanted = [program(tmp_path / f"pyenv/versions/3.13.{patch}/bin/python", "echo 3 13") for patch in (10, 9)]
    program(tmp_path / "pyenv/versions/3.12.1/bin/python", "echo 3 12")
    on_path(monkeypatch, tmp_path / "pyenv/shims")

    assert wanted == [python for python in programs.pyenv_pythons() if python.is_relative_to(tmp_path)]


def test_old_node_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Node below 20 does not hide a newer one, and npm is the one beside it."""
    program(tmp_path / "old/node", "echo v18.20.1")
    program(tmp_path / "old/npm", "")
    node = program(tmp_path / "new/node", "echo v22.1.0")
    npm = program(tmp_path / "new/npm", "")
    on_path(monkeypatch, tmp_path / "old", tmp_path / "new")

    assert (node, [npm]) == programs.installed_node()


def test_node_without_npm_does_not_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian packs npm apart from Node; without it, Node comes from elsewhere."""
    program(tmp_path / "bin/node", "echo v20.1.0")
    on_path(monkeypatch, tmp_path / "bin")

    assert programs.installed_node() is None


def test_environment_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that would send pip into another environment are gone, and those that name its registry stay."""
    monkeypatch.setenv("VIRTUAL_ENV", "/elsewhere")
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    environment = programs.clean_environment()

    assert "/elsewhere" not in environment.values()
    assert environment["PIP_FIND_LINKS"] == "/wheels"


def test_finished_step_is_known_by_its_inputs(checkout: Path) -> None:
    """A stamp is that of the present inputs until one of them changes."""
    (checkout / "pins.txt").write_text("one==1")
    steps.stamp(checkout, ("pins.txt",), "3.13.0")
    finished = steps.stamped(checkout)

    assert finished == {"inputs": steps.digest(("pins.txt",)), "program": "3.13.0"}

    (checkout / "pins.txt").write_text("one==2")

    assert finished["inputs"] != steps.digest(("pins.txt",))


@pytest.mark.parametrize("content", [None, "", '{"inputs": '])
def test_half_written_stamp_counts_as_none(checkout: Path, content: str | None) -> None:
    """A step whose stamp is missing, empty or cut off is not finished."""
    if content is not None:
        (checkout / steps.STAMP).write_text(content)

    assert {} == steps.stamped(checkout)


def test_warnings_are_no_failure(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a command says on stderr does not matter as long as it ends well, and what follows it is done."""
    finished: list[str] = []
    script = "import sys; print('Collecting a'); print('WARNING: mirror is ignored', file=sys.stderr)"
    job = jobs.Job("Things", [sys.executable, "-c", script], total=1, finish=lambda: finished.append("done"))
    jobs.run_all(job)

    assert ["done"] == finished
    assert str(job) == "Things 1/1"
    assert "done: Things" in capsys.readouterr().err


def test_failure_names_the_job_and_shows_its_end(checkout: Path) -> None:
    """A command that fails ends the set-up with its name and last lines; one that worked beside it stays finished."""
    finished: list[str] = []
    good = jobs.Job("Good", [sys.executable, "-c", ""], finish=lambda: finished.append("good"))
    bad = jobs.Job("Bad", [sys.executable, "-c", "print('no such package'); raise SystemExit(3)"])

    with pytest.raises(programs.SetupError, match=r"(?s)Bad could not be installed.*no such package"):
        jobs.run_all(good, bad)

    assert ["good"] == finished


def test_second_set_up_waits_and_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one set-up runs, another names its process, waits, and goes on when it ends."""
    said, entered = Said(), threading.Event()
    monkeypatch.setattr(sys, "stderr", said)
    waiting = threading.Thread(target=_enter, args=[entered])
    with (checkout / ".cache/setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        waiting.start()

        assert said.anything.wait(60)
        assert not entered.is_set()
    waiting.join(60)

    assert entered.is_set()
    assert "process 4711" in said.getvalue()


class Said(io.StringIO):
    """What was printed; *anything* is set once there is something."""

    def __init__(self) -> None:
        super().__init__()
        self.anything = threading.Event()

    def flush(self) -> None:
        """Tell that a whole text was printed."""
        self.anything.set()


def _enter(entered: threading.Event) -> None:
    with command.one_at_a_time():
        entered.set()
