"""How a route is described, and what follows for all routes of a kind."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from shared.codes import Code

Codes = Mapping[int, tuple[Code, ...]]
PUBLIC, ADMIN, TOKEN = "public", "admin", "token"
WRITES = ("POST", "PUT", "PATCH", "DELETE")

_ALWAYS: Codes = {500: (Code.INTERNAL_ERROR,), 503: (Code.STORAGE_UNAVAILABLE,)}
_BODY: Codes = {400: (Code.INVALID_JSON,), 413: (Code.BODY_TOO_LARGE,), 422: (Code.INVALID_REQUEST,)}
_MARKED: Codes = {403: (Code.REQUEST_NOT_MARKED, Code.FOREIGN_HOST)}
_JSON: Codes = {415: (Code.UNSUPPORTED_MEDIA_TYPE,)}
_SIGNED_IN: Codes = {401: (Code.SIGN_IN_REQUIRED,), 403: (Code.NOT_ADMITTED,), 503: (Code.EASY_AUTH_NOT_PROVEN,)}
_TOKEN: Codes = {401: (Code.TOKEN_MISSING, Code.TOKEN_REFUSED), 404: (Code.NOT_FOUND,), 429: (Code.RATE_LIMITED,)}
_QUERY: Codes = {422: (Code.INVALID_REQUEST,)}
_VERSION: Codes = {412: (Code.STALE_VERSION,)}
FOUND: Codes = {404: (Code.NOT_FOUND,)}
CONFLICT: Codes = {409: (Code.CONFLICT,)}
MICROSOFT: Codes = {
    409: (
        Code.GRANT_NOT_USABLE,
        Code.SECRET_WRONG,
        Code.SECRET_EXPIRED,
        Code.ASSERTION_REFUSED,
        Code.IDENTITY_UNAVAILABLE,
        Code.CREDENTIAL_REFUSED,
        Code.APP_NOT_CONSENTED,
        Code.APP_DISABLED,
        Code.TENANT_UNKNOWN,
        Code.WRONG_CLOUD,
        Code.ROLES_MISSING,
        Code.GRAPH_REFUSED,
        Code.MAILBOX_NOT_FOUND,
        Code.MAILBOX_NOT_ENABLED,
        Code.MAILBOX_ACCESS_DENIED,
        Code.FOLDER_NOT_FOUND,
    ),
    502: (Code.SIGN_IN_UNAVAILABLE, Code.GRAPH_UNAVAILABLE),
    503: (Code.VAULT_UNAVAILABLE, Code.VAULT_REFUSED, Code.SIGN_IN_UNAVAILABLE, Code.GRAPH_THROTTLED),
}
VAULT: Codes = {503: (Code.VAULT_UNAVAILABLE, Code.VAULT_REFUSED)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header of a request."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is no JSON, of this media type."""

    type: str
    description: str


@dataclass(frozen=True, slots=True)
class Route:
    """
    One route: *at* names its methods and path, *caller* who may call it.

    *answers* gives the model, the `File`, or None for no body, of each status that is no problem. *body* is the model
    of the request, or a media type; *codes* what may go wrong beside what follows from the rest.
    """

    at: str
    caller: str
    summary: str
    answers: Mapping[int, Any]
    body: type[BaseModel] | str | None = None
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[Codes, ...] = ()
    etag: bool = False
    creates: bool = False
    about: str = ""

    @property
    def methods(self) -> list[str]:
        """The methods that it answers."""
        return self.at.split(" ", maxsplit=1)[0].split(",")

    @property
    def path(self) -> str:
        """The path below ``/api/``."""
        return self.at.split(" ", maxsplit=1)[1]

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.methods[0] in WRITES

    def refusals(self) -> dict[int, list[Code]]:
        """Return the codes of each status with which it may refuse."""
        found: dict[int, list[Code]] = {}
        for codes in self._all_codes():
            for status, some in codes.items():
                known = found.setdefault(status, [])
                known += [code for code in some if code not in known]
        return dict(sorted(found.items()))

    def _all_codes(self) -> Iterator[Codes]:
        yield _ALWAYS
        yield from self.codes
        if isinstance(self.body, type):
            yield _BODY
        if self.caller == ADMIN:
            yield _SIGNED_IN
        if self.caller == ADMIN and self.is_write:
            yield _MARKED
            if self.methods != ["DELETE"]:
                yield _JSON
        if self.caller == TOKEN:
            yield _TOKEN
        if "{" in self.path:
            yield FOUND
        if any(parameter.place == "query" for parameter in self.parameters):
            yield _QUERY
        if any(parameter.name == "If-Match" for parameter in self.parameters):
            yield _VERSION


TIME = {"type": "string", "format": "date-time"}
LIMIT = Parameter("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50})
CURSOR = Parameter("cursor", "The `next_cursor` of the page before.")
SINCE = Parameter("since", "Only what happened then or later.", TIME)
UNTIL = Parameter("until", "Only what happened before.", TIME)
PAGE = (LIMIT, CURSOR)
SPAN = (*PAGE, SINCE, UNTIL)
CREATED = (
    *PAGE,
    Parameter("since", "Only what was made then or later.", TIME),
    Parameter("until", "Only what was made before.", TIME),
)
IF_MATCH = Parameter("If-Match", "The `ETag` of the version that is to be changed.", place="header")
RANGE = Parameter("Range", "Which bytes, such as `bytes=0-8388607`; at most 8 MiB are answered.", place="header")
IF_NONE_MATCH = Parameter("If-None-Match", "An `ETag`: 304 where it still stands.", place="header")
_KEY = {"type": "string", "maxLength": 255}
IDEMPOTENCY = (
    Parameter("Idempotency-Key", "The same key and body make one message, for 30 days.", _KEY, "header"),
    Parameter("webhook-id", "Counts as the key where there is no other.", _KEY, "header"),
)


def flag(name: str, description: str) -> Parameter:
    """Return a query parameter that is true or false."""
    return Parameter(name, description, {"type": "boolean", "default": False})


def status_filter(values: Iterable[str]) -> Parameter:
    """Return the parameter that filters by status."""
    return Parameter("status", "Only those of this status.", {"type": "string", "enum": [str(item) for item in values]})
