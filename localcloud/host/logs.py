"""How a log line looks: time, level, logger, invocation, text, then the record's own fields."""

from __future__ import annotations

import logging
import sys
import time
from contextvars import ContextVar
from typing import Any

invocation: ContextVar[str] = ContextVar("invocation", default="")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
# These write URLs, queries and tokens' names at INFO, or one line per poll.
_QUIET = (
    "azure.core.pipeline.policies.http_logging_policy",
    "azure.functions",
    "azure.identity",
    "httpcore",
    "httpx",
    "msal",
    "urllib3",
    "uvicorn",
)


class Formatter(logging.Formatter):
    """Write one short line per record, with fields given as `extra=` at the end."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line (and the stack, for exceptions)."""
        moment = time.strftime("%H:%M:%S", time.gmtime(record.created))
        where = current_invocation()[:8] or "-"
        line = f"{moment}.{int(record.msecs):03d} {record.levelname} {record.name} {where} {record.getMessage()}"
        fields: dict[str, Any] = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        line += "".join(f" {name}={value}" for name, value in fields.items())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def current_invocation() -> str:
    """Return the id of the invocation this code runs in, also on the runtime's pool threads; empty outside of one."""
    return invocation.get() or _pool_invocation() or ""


def configure(level: str) -> None:
    """Send all records of *level* and above to stderr; libraries that are noisy or tell URLs only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _pool_invocation() -> str | None:
    variable = getattr(sys.modules.get("azure_functions_runtime"), "invocation_id_cv", None)
    value: str | None = variable.get() if variable else None
    return value
