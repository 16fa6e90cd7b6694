"""How a fake is told to fail: which call, with what, before or after its effect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.errors import StorageUnavailable


@dataclass
class Failures:
    """
    Failures that wait for the next calls of one fake, in order, by method name.

    *before* is called with the method's name before each call has any effect: a test moves clocks there or lets another
    writer in between. Calls that it makes itself do not call it again; it is called until a test sets it to None.
    """

    before: Callable[[str], None] | None = None
    _inside: bool = False
    _planned: dict[str, list[tuple[Exception, bool]]] = field(default_factory=dict)

    def plan(self, method: str, error: Exception | None = None, *, after_effect: bool = False) -> None:
        """Let the next call of *method* raise *error* (by default no answer from storage), maybe after its effect."""
        fault = error or StorageUnavailable("storage gave no answer", outcome_unknown=True)
        self._planned.setdefault(method, []).append((fault, after_effect))

    @contextmanager
    def around(self, method: str) -> Iterator[None]:
        """Run one call of *method* under whatever is planned for it."""
        self._call_before(method)
        planned = self._planned.get(method)
        error, after_effect = planned.pop(0) if planned else (None, False)
        if error is not None and not after_effect:
            raise error
        yield
        if error is not None:
            raise error

    def _call_before(self, method: str) -> None:
        if self.before is None or self._inside:
            return
        self._inside = True
        try:
            self.before(method)
        finally:
            self._inside = False
