"""The API's description: it is valid, has every route and nothing else, and says what the other pages say."""

import json
import re
from typing import Any

import azure.functions as func
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions import openapi_http
from functions.app import build
from functions.openapi.document import document
from functions.openapi.examples import EXAMPLES
from functions.openapi.routes import ROUTES
from functions.openapi.webhooks import DATA
from functions.replies import CODE_STATUS
from functions.requests import check
from shared.composition import compose
from shared.notices import EventType
from shared.settings import Settings
from tests.architecture.sources import ROOT
from tests.scenes.calls import Caller

BASE = "https://mail.example"
MADE_UP = Settings.from_environment(
    {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "MAIL_STORAGE": "UseDevelopmentStorage=true",
        "KEY_VAULT_URL": "https://vault.example",
        "PUBLIC_BASE_URL": BASE,
    }
)


@pytest.fixture(scope="module", name="made")
def _made() -> dict[str, Any]:
    return document(BASE)


@pytest.fixture(scope="module", name="caller")
def _caller() -> Caller:
    return Caller(openapi_http.blueprint(MADE_UP))


def test_the_document_is_valid(made: dict[str, Any]) -> None:
    """OpenAPI 3.1 and JSON Schema 2020-12 hold for all of it."""
    OpenAPIV31SpecValidator(made).validate()

    assert "3.1.0" == made["openapi"]


def test_every_route_is_described_and_nothing_else() -> None:
    """A new function needs its entry in functions/openapi: methods, path and who may call are those of the function."""
    found = {}
    for function in build(compose(MADE_UP)).get_functions():
        trigger: Any = function.get_trigger()
        if trigger.type == "httpTrigger":
            level = "admin" if trigger.auth_level is func.AuthLevel.FUNCTION else "open"
            methods = {str(getattr(item, "value", item)) for item in trigger.methods}
            found[function.get_function_name()] = (methods, trigger.route, level)

    assert {
        name: (set(route.methods), route.path, "admin" if route.caller == "admin" else "open")
        for name, route in ROUTES.items()
    } == found


def test_examples_are_what_requests_take(made: dict[str, Any]) -> None:
    """Every request with a model has an example, which the model takes."""
    models = {route.body.__name__: route.body for route in ROUTES.values() if isinstance(route.body, type)}

    assert set(models) == set(EXAMPLES)
    for name, model in models.items():
        check(model, EXAMPLES[name])


def test_codes_have_the_status_that_the_problem_page_says() -> None:
    """Each code of each route stands in docs/problems.md with that status."""
    text = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    said = {cells[1].strip(" `"): cells[4] for line in text.splitlines() if len(cells := line.split("|")) > 5}
    wrong = {
        (code.value, status)
        for route in ROUTES.values()
        for status, codes in route.refusals().items()
        for code in codes
        if str(status) not in said[code.value] or CODE_STATUS.get(code, status) != status
    }

    assert set() == wrong


def test_events_are_those_of_their_page(made: dict[str, Any]) -> None:
    """Each type has its webhook; each member of its data stands in its row of docs/events.md."""
    rows = dict(
        re.findall(r"^\| `([a-z.]+)` \|(.*)$", (ROOT / "docs" / "events.md").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert {kind.short for kind in EventType} == set(rows) == set(made["webhooks"])
    plain = {kind: names for kind, names in DATA.items() if "as above" not in rows[kind.short]}
    assert [] == [(kind.short, name) for kind, names in plain.items() for name in names if name not in rows[kind.short]]


def test_a_program_reads_the_document(caller: Caller) -> None:
    """It is served to everybody, and costs nothing more while it has not changed."""
    first = caller.call("GET", "openapi.json", headers={})
    again = caller.call("GET", "openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert document(BASE) == json.loads(first.get_body())
    assert (304, b"") == (again.status_code, again.get_body())


def test_a_person_reads_the_page(caller: Caller, made: dict[str, Any]) -> None:
    """Every route and every schema has its place; nothing is loaded from elsewhere, nothing runs."""
    answer = caller.call("GET", "reference", headers={})
    html = answer.get_body().decode()
    ids = set(re.findall(r'id="([^"]+)"', html))

    assert set(ROUTES) <= ids
    assert {f"schema-{name}" for name in made["components"]["schemas"]} <= ids
    assert {link.removeprefix("#") for link in re.findall(r'href="(#[^"]+)"', html)} <= ids
    assert ["/api/reference/style.css"] == re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', html)
    assert "<td>The <code>next_cursor</code> of the page before." in html
    assert "<script" not in html
    assert "style=" not in html
    assert b"--ink" in caller.call("GET", "reference/style.css", headers={}).get_body()
