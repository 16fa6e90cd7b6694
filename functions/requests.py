"""What a request says: its body checked against a model with every fault named, its caller, its paging."""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlsplit

import azure.functions as func
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.codes import Code
from shared.errors import FieldFault, InvalidRequest, Refused, TooLarge
from shared.identifiers import new_ulid
from shared.json_text import value_of
from shared.settings import Settings
from shared.times import Span, from_text

MAX_BODY_BYTES = 8 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")

_caller: ContextVar[str] = ContextVar("caller", default="")
_reads_only: ContextVar[bool] = ContextVar("reads_only", default=False)


@contextmanager
def called_by(actor: str, *, reads_only: bool = False) -> Iterator[None]:
    """Say who is known to make the request that is answered inside, and whether reading is all that they may do."""
    before, might = _caller.set(actor), _reads_only.set(reads_only)
    try:
        yield
    finally:
        _caller.reset(before)
        _reads_only.reset(might)


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused, types are not guessed."""

    # Built at the first request: no start of the app should wait for what its instance may never be asked.
    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True, defer_build=True)


BodyModel = TypeVar("BodyModel", bound=BaseModel)


class Request:
    """One HTTP request; *id* goes into answers and logs."""

    def __init__(self, raw: func.HttpRequest, settings: Settings) -> None:
        self.raw = raw
        self.settings = settings
        self.id = f"req_{new_ulid()}"

    def route(self, name: str) -> str:
        """Return a route parameter."""
        return str(self.raw.route_params.get(name, ""))

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return str(self.raw.params.get(name, default))

    def header(self, name: str) -> str:
        """Return a header, '' where there is none."""
        return str(self.raw.headers.get(name) or "")

    def limit(self) -> int:
        """Return ``?limit=`` (1–200, default 50)."""
        text = self.query("limit", "50")
        if not _is_number(text) or not 1 <= int(text) <= 200:
            raise _query_fault("limit", "out_of_range", "limit must be a whole number from 1 to 200")
        return int(text)

    def json(self) -> Any:
        """Return the body as JSON; raises `InvalidRequest` (400) or `TooLarge`."""
        content = self.raw.get_body()
        if len(content) > MAX_BODY_BYTES:
            detail = (
                "The body is over 8 MB. Put large files into storage with POST /api/uploads and name them by upload_id."
            )
            raise TooLarge(detail)
        try:
            return value_of(content)
        except ValueError as error:
            detail = f"The body is not JSON: {str(error)[:120]}. Send one JSON object."
            raise InvalidRequest(detail, code=Code.INVALID_JSON) from None

    def body(self, model: type[BodyModel]) -> BodyModel:
        """Return the body as *model*; raises `InvalidRequest` naming every fault."""
        return check(model, self.json())

    def admin_write(self) -> None:
        """
        Refuse a write that a foreign web page could have caused.

        ``func start`` enforces no keys and any page can post to localhost, so writes need a JSON content type, our own
        header and our own Host.
        """
        if self.header("content-type").split(";")[0].strip().lower() != "application/json":
            detail = "Send Content-Type: application/json."
            raise Refused(detail, Code.UNSUPPORTED_MEDIA_TYPE)
        self.admin_mark()

    def admin_mark(self) -> None:
        """Refuse an administrator's write without a body (DELETE) that a foreign page could have caused."""
        if self.header("x-mailgrant-request") != "1":
            detail = "Send the header X-Mailgrant-Request: 1 with every administrator's write."
            raise Refused(detail, Code.REQUEST_NOT_MARKED)
        host = self.header("host").lower()
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if host != urlsplit(self.settings.public_base_url).netloc.lower() and name not in _LOOPBACK:
            detail = "The Host header is not the host of PUBLIC_BASE_URL. Call the address that PUBLIC_BASE_URL names."
            raise Refused(detail, Code.FOREIGN_HOST)

    def actor(self) -> str:
        """Return what the audit log calls the caller: who signed in, or a hash of the key: the host tells no more."""
        if _caller.get():
            return _caller.get()
        key = self.header("x-functions-key") or self.query("code")
        return f"key:{sha256(key.encode()).hexdigest()[:8]}" if key else "no_key"

    def role(self) -> str:
        """Return what an administrator's caller is: ``viewer`` where they may only read, else ``admin``."""
        return "viewer" if _reads_only.get() else "admin"

    def moment(self, name: str) -> datetime | None:
        """Return the time that a query parameter names, None where it is left out."""
        text = self.query(name)
        try:
            return from_text(text) if text else None
        except ValueError:
            raise _query_fault(name, "not_a_time", f"{name} must be a time such as 2026-11-22T07:00:00Z") from None

    def choice(self, name: str, choices: Iterable[str]) -> str:
        """Return the query parameter, which is one of *choices*, or '' where it is left out."""
        text, known = self.query(name), list(choices)
        if text and text not in known:
            raise _query_fault(name, "unknown", f"{name} must be one of {', '.join(known)}")
        return text

    def span(self) -> Span:
        """Return the time that ``since`` (included) and ``until`` (not included) leave."""
        return Span(self.moment("since"), self.moment("until"))

    def if_match(self) -> int | None:
        """Return the version that the caller means to change, None where any will do, -1 for what is no version."""
        text = self.header("if-match").strip().removeprefix("W/").strip('"')
        if text in ("", "*"):
            return None
        return int(text) if _is_number(text) else -1

    def bearer(self) -> str:
        """Return the caller's token: X-Mailgrant-Token, Bearer, or the password of HTTP Basic; '' for none."""
        own = self.header("x-mailgrant-token")
        scheme, _, value = self.header("authorization").partition(" ")
        if own:
            return own.strip()
        if scheme.lower() == "bearer":
            return value.strip()
        if scheme.lower() == "basic":
            try:
                return b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                return ""
        return ""


def check(model: type[BodyModel], data: Any) -> BodyModel:
    """Return *data* as *model*; raises `InvalidRequest` naming every fault with its JSON pointer."""
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        faults = [
            FieldFault(
                _pointer(item["loc"], data, missing=item["type"] == "missing"),
                str(item["type"]),
                str(item["msg"]).removeprefix("Value error, "),
            )
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    except RecursionError:
        faults = [FieldFault("", "too_deep", "the body is nested too deeply")]
    names = ", ".join(dict.fromkeys(fault.pointer or "the body" for fault in faults[:10]))
    detail = f"The request has {len(faults)} fault{'s' if len(faults) > 1 else ''}: {names}. See errors for each."
    raise InvalidRequest(detail, faults)


def _pointer(places: Sequence[int | str], data: Any, *, missing: bool) -> str:
    """
    Return the JSON pointer (RFC 6901) of a fault at *places*, of which only those that are in *data* are shown.

    pydantic names the member of a union, and ``[key]``, as places too; a *missing* field is a place without a value.
    """
    pointer, value = "", data
    for number, place in enumerate(places, 1):
        if _has(value, place):
            value = value[place]
        elif not (missing and number == len(places)):
            continue
        pointer += f"/{str(place).replace('~', '~0').replace('/', '~1')}"
    return pointer


def _has(value: Any, place: int | str) -> bool:
    if isinstance(value, dict):
        return place in value
    return isinstance(value, list) and isinstance(place, int) and place < len(value)


def _is_number(text: str) -> bool:
    """Tell whether *text* is a number that `int` takes; a caller may send thousands of digits, or digits like ``²``."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _query_fault(name: str, code: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, [FieldFault(f"?{name}", code, message)])
