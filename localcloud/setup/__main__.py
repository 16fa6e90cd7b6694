"""
Run the set-up: `python3 -m localcloud.setup` in the checkout, or `make setup`.

Answers: may this run begin, and how did it end?
"""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator

from localcloud.setup.jobs import CACHE
from localcloud.setup.programs import SetupError, say
from localcloud.setup.steps import NODE_MODULES, STAMP, VENV, node_is_current, python_is_current, set_up


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the checkout's set-up lock, which ends with its process; a second set-up says that it waits."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"Another set-up of this checkout is running (process {lock.read().strip()}); waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def main(arguments: list[str]) -> int:
    """Set up and return an exit status; `--again` does it anew, whatever the stamps say."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with one_at_a_time():
            if "--again" in arguments:
                for folder in (VENV, NODE_MODULES):
                    (folder / STAMP).unlink(missing_ok=True)
            if not (python_is_current() and node_is_current()):
                set_up()
    except SetupError as problem:
        say(f"Set-up failed. {problem}")
        return 1
    except KeyboardInterrupt:
        say("\nSet-up interrupted; the next one starts where it must.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
