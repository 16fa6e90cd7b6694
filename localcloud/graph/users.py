"""Which people does a tenant's directory show."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from localcloud.graph.filters import matches
from localcloud.graph.odata import page_size, parsed_filter, selected
from localcloud.graph.rendering import user_json
from localcloud.graph.wire import GRAPH_ROOT, Reply, context
from localcloud.mail.errors import MailError, bad_request

if TYPE_CHECKING:
    from localcloud.graph.calls import Call
    from localcloud.graph.wire import Request
    from localcloud.mail.fields import Json

_DEFAULT_PROPERTIES = (
    "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName",
)  # fmt: skip
_PROPERTIES = frozenset(
    (*_DEFAULT_PROPERTIES, "accountEnabled", "userType", "proxyAddresses", "assignedPlans", "assignedLicenses",
     "department", "companyName", "otherMails", "imAddresses", "mailNickname")
)  # fmt: skip
_DEFAULT_PAGE = 100


def list_users(call: Call) -> Reply:
    """Answer ``GET /users`` with $select, $filter, $search, $top and pages."""
    request = call.request
    select = selected(request, _PROPERTIES, "user") or _DEFAULT_PROPERTIES
    users = sorted(
        (user_json(user) for user in call.caller.tenant.users.values()), key=lambda user: user["displayName"]
    )
    condition = parsed_filter(request)
    if condition is not None:
        users = [user for user in users if matches(condition, lambda path, user=user: _value(user, path))]  # type: ignore[misc]
    if "$search" in request.query:
        users = [user for user in users if _found(request, user)]
    start, size = _start(request), page_size(request, _DEFAULT_PAGE)
    page = users[start : start + size]
    shown = [{name: user[name] for name in select} for user in page]
    data: Json = {"@odata.context": context("users"), "value": shown}
    if start + size < len(users):
        options = {name: value for name, value in request.query.items() if name != "$skiptoken"}
        query = urlencode(options | {"$skiptoken": str(start + size)}, quote_via=quote, safe="$")
        data["@odata.nextLink"] = f"{GRAPH_ROOT}/v1.0/users?{query}"
    return Reply(200, data, items=len(page))


def get_user(call: Call) -> Reply:
    """Answer ``GET /users/{id or address}``."""
    key = call.variables["user"]
    user = call.caller.tenant.find_user(key)
    select = selected(call.request, _PROPERTIES, "user") or _DEFAULT_PROPERTIES
    if user is None:
        raise MailError(
            404,
            "Request_ResourceNotFound",
            f"Resource '{key}' does not exist or one of its queried reference-property objects are not present.",
        )
    known = user_json(user)
    return Reply(200, {"@odata.context": context("users/$entity"), **{name: known[name] for name in select}})


def _start(request: Request) -> int:
    token = request.query.get("$skiptoken", "0")
    if not token.isdecimal():
        raise bad_request("Invalid skip token.", "Directory_ExpiredPageToken")
    return int(token)


def _value(user: Json, path: str) -> object:
    if path not in user:
        raise bad_request(f"Invalid filter clause: could not find a property named '{path}' on type "
                          "'microsoft.graph.user'.", "Request_UnsupportedQuery")  # fmt: skip
    return user[path]


def _found(request: Request, user: Json) -> bool:
    """Apply ``$search="displayName:ann"``; the directory wants the header ConsistencyLevel with it."""
    if request.headers.get("consistencylevel", "").casefold() != "eventual":
        raise bad_request("Request with $search query parameter only works through MSGraph with a special request "
                          "header: 'ConsistencyLevel: eventual'", "Request_UnsupportedQuery")  # fmt: skip
    for clause in request.query["$search"].split(" OR "):
        name, colon, text = clause.strip().strip('"').partition(":")
        if not colon or name not in user:
            raise bad_request("Invalid $search clause.", "Request_UnsupportedQuery")
        words = str(user[name] or "").casefold().replace("@", " ").split()
        wanted = text.casefold()
        if any(word.startswith(wanted) for word in words) or str(user[name] or "").casefold().startswith(wanted):
            return True
    return False
