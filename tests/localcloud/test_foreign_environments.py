"""Is a foreign client's environment made once, whole, and anew when its lock file changes?"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localcloud.foreign import environments
from localcloud.foreign.environments import ForeignEnvironmentError, python_of


@pytest.fixture(name="lock")
def _lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the lock file of a client that needs nothing, so that no network is asked."""
    monkeypatch.setattr(environments, "LOCKS", tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "made")
    lock = tmp_path / "bare.txt"
    lock.write_text("# nothing\n", encoding="utf-8")
    return lock


def test_it_is_made_once_and_anew_for_another_lock(lock: Path, tmp_path: Path) -> None:
    """Two at once get one environment, what a killed process left is cleared away, and so is an outdated one."""
    remains = tmp_path / "made" / "bare-partial"
    remains.mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(python_of, ["bare", "bare"])
    prefix = subprocess.run(
        [first, "-I", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    lock.write_text("# something else\n", encoding="utf-8")
    third = python_of("bare")

    assert first == second != third
    assert str(first.parent.parent) == prefix.stdout.strip()
    assert [third.parent.parent.name] == [found.name for found in (tmp_path / "made").glob("bare-*")]


def test_failures_are_told(lock: Path, tmp_path: Path) -> None:
    """An unknown client and a lock that cannot be had are refused with the reason, and nothing looks made."""
    lock.write_text("nothing-of-the-kind==1\n", encoding="utf-8")

    with pytest.raises(ForeignEnvironmentError, match=r"known clients are: bare"):
        python_of("other")
    with pytest.raises(ForeignEnvironmentError, match=r"bare cannot be made:\n.*--require-hashes"):
        python_of("bare")
    assert ["bare-partial"] == [found.name for found in (tmp_path / "made").glob("bare-*")]
