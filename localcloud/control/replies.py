"""How do the control routes read what they are given and answer what they did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from localcloud.effects import Endpoint

    Act = Callable[[Request, dict[str, Any]], Any]


class ControlError(Exception):
    """A control request that cannot be done; *status* 400 for what was given wrongly, 404 for what is unknown."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def known(found: Any, what: str) -> Any:
    """Return *found* unless it is None, else answer 404 for *what*."""
    if found is None:
        raise ControlError(404, f"unknown {what}")
    return found


def replying(act: Act, status: int = 200) -> Endpoint:
    """
    Return an endpoint that gives *act* the request and its JSON object and answers what it returns.

    None becomes 204; a missing or wrongly typed field becomes 400 with its name.
    """

    async def endpoint(request: Request) -> Response:
        try:
            text = await request.body()
            body = json.loads(text) if text else {}
            result = act(request, body)
        except ControlError as error:
            return JSONResponse({"error": str(error)}, error.status)
        except KeyError as error:
            return JSONResponse({"error": f"missing field or unknown name: {error.args[0]}"}, 400)
        except (TypeError, ValueError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 400)
        return Response(status_code=204) if result is None else JSONResponse(result, status)

    return endpoint
