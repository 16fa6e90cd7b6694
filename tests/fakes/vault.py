"""A vault in memory: versions by name, soft delete, and faults on demand."""

import re
import threading
from itertools import count

from shared.codes import Code
from shared.errors import CredentialFault
from tests.fakes.failures import Failures

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


class MemoryVault:
    """Secrets by name and version; *failures* makes ``put``, ``get`` and ``delete`` fail."""

    def __init__(self, *_: object) -> None:
        self.secrets: dict[str, dict[str, str]] = {}
        self.deleted: set[str] = set()
        self.failures = Failures()
        self.reads = 0
        self._numbers = count(1)
        self._lock = threading.Lock()

    def put(self, name: str, value: str) -> str:
        """Store a new version and return its version id."""
        if not _NAME.fullmatch(name):
            raise ValueError("a secret's name holds 1 to 127 of the characters 0-9 A-Z a-z -")
        with self.failures.around("put"), self._lock:
            if name in self.deleted:
                raise CredentialFault("The secret is deleted but recoverable.", Code.VAULT_REFUSED)
            version = f"{next(self._numbers):032x}"
            self.secrets.setdefault(name, {})[version] = value
            return version

    def get(self, name: str, version: str) -> str:
        """Return a version's value."""
        self.reads += 1
        with self.failures.around("get"), self._lock:
            if name in self.deleted or version not in self.secrets.get(name, {}):
                raise CredentialFault("The vault has no such secret.", Code.VAULT_REFUSED)
            return self.secrets[name][version]

    def check(self) -> None:
        """Answer, unless a failure of ``check`` is planned."""
        with self.failures.around("check"):
            return

    def delete(self, name: str) -> None:
        """Soft-delete the secret with all versions; no error where it is gone."""
        with self.failures.around("delete"), self._lock:
            if name in self.secrets:
                self.deleted.add(name)
