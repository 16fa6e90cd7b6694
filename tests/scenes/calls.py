"""How a test calls a function of a blueprint as the host would, without a host."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func

from tests.scenes.answers import faults_of

ADMIN = {"Content-Type": "application/json", "X-Mailgrant-Request": "1", "Host": "mail.example"}


class Caller:
    """Calls HTTP functions by method and path, found as the host finds them."""

    def __init__(self, *blueprints: func.Blueprint) -> None:
        app = func.FunctionApp()
        for blueprint in blueprints:
            app.register_functions(blueprint)
        self.functions = _functions(app)

    @classmethod
    def of(cls, app: func.FunctionApp) -> "Caller":
        """Return a caller of a whole app."""
        made = cls.__new__(cls)
        made.functions = _functions(app)
        return made

    def call(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> func.HttpResponse:
        """
        Make one request; *body* is sent as JSON unless it is bytes. Raises LookupError where no route matches.

        Every answer must be as the API's description says.
        """
        parts = urlsplit(url)
        function, route = self._found(method, parts.path.removeprefix("/api/").strip("/"))
        request = func.HttpRequest(
            method=method,
            url=f"https://mail.example{parts.path}",
            headers=dict(ADMIN if headers is None else headers),
            params=dict(parse_qsl(parts.query)),
            route_params=route,
            body=body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode(),
        )
        response: func.HttpResponse = function.get_user_function()(request)
        if faults := faults_of(str(function.get_function_name()), method, response):
            raise AssertionError("\n".join(faults))
        return response

    def json(self, method: str, url: str, body: Any = None) -> Any:
        """Make an administrator's request and return the JSON of its answer."""
        content = self.call(method, url, body).get_body()
        return json.loads(content) if content else None

    def levels(self) -> dict[str, str]:
        """Return the authorization level of every function."""
        return {name: str(_trigger(function)["authLevel"]) for name, function in self.functions.items()}

    def _found(self, method: str, path: str) -> tuple[Any, dict[str, str]]:
        for function in self.functions.values():
            trigger = _trigger(function)
            methods = [str(getattr(item, "value", item)) for item in trigger["methods"]]
            route = _match(str(trigger["route"]), path)
            if route is not None and method in methods:
                return function, route
        message = f"no function answers {method} {path}"
        raise LookupError(message)


def _functions(app: func.FunctionApp) -> dict[str, Any]:
    return {str(function.get_function_name()): function for function in app.get_functions()}


def _trigger(function: Any) -> dict[str, Any]:
    found: dict[str, Any] = function.get_trigger().get_dict_repr()
    found["authLevel"] = getattr(found["authLevel"], "value", found["authLevel"])
    return found


def _match(pattern: str, path: str) -> dict[str, str] | None:
    wanted, given = pattern.split("/"), path.split("/")
    if wanted[-1].startswith("{*"):  # takes the rest of the path
        given = [*given[: len(wanted) - 1], "/".join(given[len(wanted) - 1 :])]
    if len(wanted) != len(given):
        return None
    route = {}
    for part, value in zip(wanted, given, strict=True):
        if part.startswith("{"):
            route[part.strip("{*}")] = value
        elif part != value:
            return None
    return route
