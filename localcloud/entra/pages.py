"""Which pages does a person see at the simulated Entra ID, and who can be chosen there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

import jinja2
from starlette.responses import HTMLResponse, RedirectResponse

from localcloud.entra.errors import EntraError
from localcloud.world import GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.responses import Response

    from localcloud.world import Registration, Tenant, User, World

# Only these two may grant application permissions of Microsoft Graph (entra-and-graph-mail.md section 1.3).
CONSENTING_ROLES = frozenset({GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR})


class Person(NamedTuple):
    """A user who may sign in, together with the home tenant."""

    tenant: Tenant
    user: User

    @property
    def address(self) -> str:
        """Return the sign-in name."""
        return self.user.address

    @property
    def display_name(self) -> str:
        """Return the name shown in the list."""
        return self.user.display_name

    @property
    def administrator(self) -> bool:
        """Return whether the person may consent for the organization."""
        return not CONSENTING_ROLES.isdisjoint(self.user.administrator_roles)


class Pages:
    """The HTML pages, rendered from the templates beside this module."""

    def __init__(self) -> None:
        loader = jinja2.FileSystemLoader(Path(__file__).parent / "pages")
        self._templates = jinja2.Environment(loader=loader, autoescape=True)

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page that browsers do not keep."""
        html = self._templates.get_template(template).render(values)
        return HTMLResponse(html, status, {"Cache-Control": "no-store, no-cache", "Referrer-Policy": "no-referrer"})

    def error(self, error: EntraError, now: float, *, back: str | None = None) -> Response:
        """Return the page that shows *error*, with a way *back* to the application where Entra offers one."""
        title = "Need admin approval" if back else "Sorry, but we're having trouble signing you in."
        return self.render("error.html", error.status, title=title, text=error.description(now), back=back)


def people(world: World, tenant: Tenant | None) -> list[Person]:
    """Return who can sign in at *tenant*, or anywhere; administrators come first."""
    tenants: Iterable[Tenant] = world.tenants.values() if tenant is None else (tenant,)
    everyone = [Person(home, user) for home in tenants for user in home.users.values()]
    return sorted(everyone, key=lambda person: not person.administrator)


def signed_in(world: World, tenant: Tenant | None, app: Registration, address: str) -> Person:
    """
    Return the person whom the page's form names.

    Raises:
        EntraError: AADSTS50020 where that person is unknown to *tenant*.
    """
    found = next((person for person in people(world, tenant) if person.address.casefold() == address.casefold()), None)
    if found is None:
        directory = tenant.display_name if tenant else "organizations"
        raise EntraError(50020, address=address, directory=directory, client_id=app.client_id)
    return found


def check_redirect(app: Registration, redirect_uri: str) -> None:
    """Raise AADSTS50011 unless *redirect_uri* is registered exactly so."""
    if redirect_uri not in app.redirect_uris:
        raise EntraError(50011, redirect_uri=redirect_uri, client_id=app.client_id)


def callback_url(redirect_uri: str, parameters: Mapping[str, str | None]) -> str:
    """Return *redirect_uri* with the *parameters* that have a value appended to its query."""
    parts = urlsplit(redirect_uri)
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query))


def redirect(url: str) -> Response:
    """Return the 302 by which Entra sends the browser back."""
    return RedirectResponse(url, 302, {"Cache-Control": "no-store, no-cache"})
