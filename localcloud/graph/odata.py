"""What do the query options of a request ask for: properties, page, order, expansion, body format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localcloud.graph.filter_parser import parse_filter
from localcloud.graph.filters import Comparison, Node, comparisons, paths
from localcloud.mail.errors import MailError, bad_request
from localcloud.mail.message import canonical_property_id

if TYPE_CHECKING:
    from localcloud.graph.wire import Request

MESSAGE_PROPERTIES = frozenset(
    (
        "id", "categories", "changeKey", "createdDateTime", "lastModifiedDateTime", "bccRecipients", "body",
        "bodyPreview", "ccRecipients", "conversationId", "conversationIndex", "flag", "from", "hasAttachments",
        "importance", "inferenceClassification", "internetMessageHeaders", "internetMessageId",
        "isDeliveryReceiptRequested", "isDraft", "isRead", "isReadReceiptRequested", "parentFolderId",
        "receivedDateTime", "replyTo", "sender", "sentDateTime", "subject", "toRecipients", "uniqueBody", "webLink",
    )
)  # fmt: skip
_MAX_PAGE = 1000
_EXPANSION = re.compile(r"\s*(\w+)\s*(?:\((.*?)\)\s*)?(?:,|$)")
_INNER_OPTION = re.compile(r"\$(\w+)\s*=\s*([^;]*)")


@dataclass(frozen=True)
class MessageView:
    """How messages are to be shown; *select* None means Graph's default set."""

    immutable_ids: bool = False
    select: tuple[str, ...] | None = None
    extended: tuple[str, ...] = ()
    attachments: tuple[str, ...] | None = None
    body_as_text: bool = False


def message_view(request: Request) -> MessageView:
    """
    Return what the request asks to see of each message.

    Raises:
        MailError: 400 for a property or expansion that messages do not have.
    """
    view = MessageView(
        immutable_ids=request.immutable_ids,
        select=selected(request, MESSAGE_PROPERTIES, "message"),
        body_as_text=request.preferences.get("outlook.body-content-type", "").casefold() == "text",
    )
    return _with_expansions(view, request.query.get("$expand", ""))


def selected(request: Request, known: frozenset[str], type_name: str) -> tuple[str, ...] | None:
    """Return the properties in ``$select``, in their proper spelling, None where there is no such option."""
    if "$select" not in request.query:
        return None
    spelling = {name.casefold(): name for name in known}
    names = [name.strip() for name in request.query["$select"].split(",") if name.strip()]
    if "*" in names:
        return None
    unknown = next((name for name in names if name.casefold() not in spelling), None)
    if unknown is not None:
        raise bad_request(f"Could not find a property named '{unknown}' on type 'microsoft.graph.{type_name}'.")
    return tuple(spelling[name.casefold()] for name in names)


def page_size(request: Request, default: int = 10) -> int:
    """Return how many items the answer may have (1 to 1000)."""
    text = request.query.get("$top") or request.preferences.get("odata.maxpagesize") or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_PAGE:
        raise bad_request(f"Invalid value '{text}' for $top query option found.", "ErrorInvalidUrlQuery")
    return int(text)


def skip_count(request: Request) -> int:
    """Return the value of ``$skip``."""
    text = request.query.get("$skip", "0")
    if not text.isdecimal():
        raise bad_request(f"Invalid value '{text}' for $skip query option found.", "ErrorInvalidUrlQuery")
    return int(text)


def parsed_filter(request: Request) -> Node | None:
    """Return the tree of ``$filter``, None where there is none."""
    return parse_filter(request.query["$filter"]) if request.query.get("$filter") else None


def order(request: Request) -> list[tuple[str, bool]]:
    """Return ``$orderby`` as property paths and whether each is descending."""
    found = []
    for clause in request.query.get("$orderby", "").split(","):
        words = clause.split()
        if not words:
            continue
        if len(words) > 2 or (len(words) == 2 and words[1].casefold() not in ("asc", "desc")):
            raise bad_request("Invalid $orderby clause.")
        found.append((words[0], words[-1].casefold() == "desc"))
    return found


def check_efficient(condition: Node | None, ordering: Sequence[tuple[str, bool]]) -> None:
    """
    Apply Outlook's rule for ``$filter`` together with ``$orderby``: the same properties first, in the same order.

    Raises:
        MailError: 400 InefficientFilter.
    """
    if condition is None or not ordering:
        return
    in_filter = list(dict.fromkeys(paths(condition)))
    if in_filter[: len(ordering)] != [path for path, _ in ordering]:
        raise MailError(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def _with_expansions(view: MessageView, text: str) -> MessageView:
    for name, inner in _EXPANSION.findall(_protected(text)):
        options = {key.casefold(): value for key, value in _INNER_OPTION.findall(inner.replace("\0", ")"))}
        if name.casefold() == "attachments":
            names = tuple(part.strip() for part in options.get("select", "").split(",") if part.strip())
            view = replace(view, attachments=names)
        elif name.casefold() == "singlevalueextendedproperties":
            view = replace(view, extended=_property_ids(options.get("filter", "")))
        elif name:
            raise bad_request(f"Could not find a property named '{name}' on type 'microsoft.graph.message'.")
    return view


def _protected(text: str) -> str:
    """Hide closing brackets within quotes from the pattern that finds the end of an expansion."""
    return re.sub(r"'(?:[^']|'')*'", lambda match: match[0].replace(")", "\0"), text)


def _property_ids(condition: str) -> tuple[str, ...]:
    if not condition.strip():
        raise bad_request("Expand on singleValueExtendedProperties needs a filter on id.", "ErrorInvalidUrlQueryFilter")
    return tuple(property_id(item) for item in comparisons(parse_filter(condition)))


def property_id(item: Comparison) -> str:
    """
    Return the canonical extended property id that *item* compares ``id`` with.

    Raises:
        MailError: 400 ErrorInvalidProperty.
    """
    canonical = canonical_property_id(str(item.value))
    if item.path.casefold() != "id" or item.operator != "eq" or canonical is None:
        raise bad_request("PropertyId values are invalid.", "ErrorInvalidProperty")
    return canonical
