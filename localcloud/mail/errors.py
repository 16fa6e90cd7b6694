"""Which refusals can the simulated Exchange give, in the words of Microsoft Graph."""

from __future__ import annotations


class MailError(Exception):
    """
    A refusal by Graph: HTTP *status*, Graph error *code*, the English *message*, and extra answer *headers*.

    The codes and texts are those that were seen on the wire or stand in Microsoft's pages.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def item_not_found() -> MailError:
    """Return the refusal for an id that names nothing in this mailbox (any more)."""
    return MailError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def unreadable() -> MailError:
    """Return what Exchange says of a corrupt item, and of every page that would show it."""
    return MailError(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed.")


def malformed_id() -> MailError:
    """Return the refusal for something that cannot be an id at all."""
    return MailError(400, "ErrorInvalidIdMalformed", "Id is malformed.")


def bad_request(message: str, code: str = "BadRequest") -> MailError:
    """Return a 400 with *message*."""
    return MailError(400, code, message)
