"""What is a Graph request and an answer here, between the socket and the handlers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

from localcloud.mail.errors import bad_request

JSON_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
GRAPH_ROOT = "https://graph.microsoft.com"
_KEYED = re.compile(r"^([\w.]+)\('(.*)'\)$")
_PREFERENCE = re.compile(r'([\w.\-]+)\s*(?:=\s*(?:"([^"]*)"|([^",;\s]*)))?')


@dataclass
class Request:
    """One request, or one step of a ``$batch``. Header names are in lower case, *path* is still percent-encoded."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes = b""
    in_batch: bool = False

    @cached_property
    def segments(self) -> list[str]:
        """Return the decoded path; ``users('x')`` is the same as ``users/x``."""
        found: list[str] = []
        for part in self.path.split("/"):
            segment = unquote(part)
            keyed = _KEYED.match(segment)
            if keyed is not None:
                found += [keyed[1], keyed[2].replace("''", "'")]
            elif segment:
                found.append(segment.removesuffix("()"))
        return found

    @cached_property
    def query(self) -> dict[str, str]:
        """Return the query options; names of system options are in lower case."""
        pairs = parse_qsl(self.query_string, keep_blank_values=True)
        return {name.lower() if name.startswith("$") else name: value for name, value in pairs}

    @cached_property
    def preferences(self) -> dict[str, str]:
        """Return the ``Prefer`` header as names (lower case) and values."""
        found = _PREFERENCE.findall(self.headers.get("prefer", ""))
        return {name.lower(): quoted or plain for name, quoted, plain in found}

    @property
    def immutable_ids(self) -> bool:
        """Say whether the caller wants immutable ids in this one answer."""
        return self.preferences.get("idtype", "").casefold() == "immutableid"

    @property
    def content_type(self) -> str:
        """Return the media type of the body without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json_object(self) -> dict[str, Any]:
        """
        Return the body as a JSON object; an absent body is an empty object.

        Raises:
            MailError: 400 where it is not one.
        """
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid "
                "JSON format."
            )
        return value

    def parameters(self) -> dict[str, Any]:
        """
        Return the parameters of an action; Graph takes them with a small first letter, and SDKs write a capital one.

        Raises:
            MailError: 400 where the body is no JSON object.
        """
        return {name[:1].lower() + name[1:]: value for name, value in self.json_object().items()}


@dataclass
class Reply:
    """
    One answer: *data* goes out as JSON, otherwise *content* as it is.

    *reset* drops the connection instead; *drip* is the pause after each byte in seconds; *items* is how many a list
    holds.
    """

    status: int
    data: Any = None
    content: bytes | None = None
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    drip: float = 0.0
    items: int = 0

    def body(self) -> bytes:
        """Return the bytes of the answer."""
        if self.data is not None:
            return json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return self.content or b""


def context(fragment: str) -> str:
    """Return the ``@odata.context`` for what *fragment* names."""
    return f"{GRAPH_ROOT}/v1.0/$metadata#{fragment}"
