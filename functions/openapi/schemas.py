"""The schemas of all requests and answers, made by pydantic of the very models that check requests."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from functions.openapi.answers import Problem
from functions.openapi.connection_answers import Connection
from functions.openapi.describing import Route
from functions.openapi.examples import EXAMPLES
from functions.openapi.routes import ROUTES
from functions.openapi.webhooks import ReceivedData
from shared.codes import Code
from shared.connection_admin.changes import FIXED

_REFS = "#/components/schemas/{model}"
_NAMES = {"shared__connections__Status": "ConnectionStatus", "shared__outbox__work__Status": "MessageStatus"}
_CHANGES = ("ChangeConnection", "ChangeCredential", "RotateSecret")


def reference(name: str) -> dict[str, str]:
    """Return a reference to the schema *name*."""
    return {"$ref": _REFS.format(model=name)}


def name_of(model: Any) -> str:
    """Return what a model's schema is called."""
    return "Connection" if model is Connection else str(model.__name__)


def schemas() -> dict[str, Any]:
    """Return every schema by name."""
    wanted: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
        *((name_of(model), "validation", TypeAdapter(model)) for model in _bodies()),
        *((name_of(model), "serialization", TypeAdapter(model)) for model in _answers()),
    ]
    places, found = TypeAdapter.json_schemas(wanted, ref_template=_REFS)
    made: dict[str, Any] = dict(found.get("$defs", {}))
    made["Connection"] = places[("Connection", "serialization")]
    text = json.dumps(made)
    for old, new in _NAMES.items():
        text = text.replace(old, new)
    made = json.loads(text)
    for name in _CHANGES:  # a default would say that what is left out is set to it
        for field in made[name]["properties"].values():
            field.pop("default", None)
    for name in FIXED:
        made["ChangeConnection"]["properties"].pop(name, None)
    for name, example in EXAMPLES.items():
        made[name]["examples"] = [example]
    made["Problem"]["properties"]["code"] = reference("Code")
    made["Code"] = {"type": "string", "enum": [code.value for code in Code], "description": "See docs/problems.md."}
    return dict(sorted(made.items()))


def _bodies() -> list[type[BaseModel]]:
    return list({route.body: None for route in _routes() if isinstance(route.body, type)})


def _answers() -> list[Any]:
    models = {name_of(model): model for route in _routes() for model in route.answers.values() if is_model(model)}
    return [*models.values(), Problem, ReceivedData]


def is_model(answer: Any) -> bool:
    """Tell whether an answer is JSON of a model."""
    return answer is Connection or isinstance(answer, type)


def _routes() -> Iterator[Route]:
    yield from ROUTES.values()
