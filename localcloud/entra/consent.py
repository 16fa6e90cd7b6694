"""What happens at the simulated ``/adminconsent``: an administrator reviews the rights, then accepts or cancels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from localcloud.entra.directory import registration_for, required
from localcloud.entra.errors import EntraError
from localcloud.entra.pages import Pages, callback_url, check_redirect, people, redirect, signed_in
from localcloud.entra.tokens import GRAPH_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from localcloud.entra.pages import Person
    from localcloud.world import Registration, Tenant, World

# The forms in which a refusal was seen to come back (entra-and-graph-mail.md section 1.4).
CANCEL_SHAPES = ("access_denied", "consent_required", "permission_denied")
_DEFAULT_SCOPE = f"{GRAPH_AUDIENCE}/.default"
_OPENID_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})


class _Asked(NamedTuple):
    app: Registration
    tenant: Tenant | None
    redirect_uri: str
    state: str | None
    scope: str | None  # None at the v1 endpoint


class ConsentEndpoint:
    """Both ``/adminconsent`` endpoints of *world*."""

    def __init__(self, world: World, pages: Pages) -> None:
        self._world = world
        self._pages = pages

    def show(self, tenant_name: str, query: Mapping[str, str], *, version: int) -> Response:
        """
        Return the page with Accept and Cancel.

        Raises:
            EntraError: the request is wrong, and there is nowhere safe to redirect to.
        """
        asked = self._read(tenant_name, query, version)
        chosen = query.get("cancel_as") or self._world.modes.get("consent_cancel_shape", CANCEL_SHAPES[0])
        return self._pages.render(
            "consent.html",
            app=asked.app.display_name,
            client_id=asked.app.client_id,
            tenant=asked.tenant,
            rights=_rights(asked),
            people=people(self._world, asked.tenant),
            shapes=CANCEL_SHAPES,
            chosen_shape=chosen,
            hint=query.get("login_hint"),
        )

    def decide(self, tenant_name: str, query: Mapping[str, str], form: Mapping[str, str], *, version: int) -> Response:
        """
        Grant or refuse as the page's form says, and send the browser back.

        Raises:
            EntraError: as for `show`, or the person does not belong to the tenant.
        """
        asked = self._read(tenant_name, query, version)
        if form.get("action") != "accept":
            return redirect(self._cancelled(asked, form.get("cancel_as")))
        person = signed_in(self._world, asked.tenant, asked.app, required(form, "user"))
        if not person.administrator:
            back = self._cancelled(asked, "access_denied")
            return self._pages.error(EntraError(90093), self._world.clock(), back=back)
        self._grant(asked, person)
        accepted = {"admin_consent": "True", "tenant": person.tenant.id, "state": asked.state, "scope": asked.scope}
        return redirect(callback_url(asked.redirect_uri, accepted))

    def _read(self, tenant_name: str, query: Mapping[str, str], version: int) -> _Asked:
        app, tenant = registration_for(self._world, tenant_name, required(query, "client_id"))
        redirect_uri = required(query, "redirect_uri")
        check_redirect(app, redirect_uri)
        scope = required(query, "scope") if version == 2 else None
        return _Asked(app, tenant, redirect_uri, query.get("state"), scope)

    def _grant(self, asked: _Asked, person: Person) -> None:
        if asked.scope is None or _DEFAULT_SCOPE in asked.scope.split():
            self._world.consent(person.tenant, asked.app)
        elif asked.app.client_id not in person.tenant.principals:
            # Named scopes are delegated: the app gets its place in the tenant, but no application permission.
            self._world.consent(person.tenant, asked.app, set())

    def _cancelled(self, asked: _Asked, shape: str | None) -> str:
        chosen = shape or self._world.modes.get("consent_cancel_shape", CANCEL_SHAPES[0])
        parameters: dict[str, str | None]
        if chosen == "permission_denied":
            parameters = {"error": chosen, "error_description": "The admin canceled the request"}
        elif chosen == "consent_required":
            description = EntraError(65004).description(self._world.clock())
            parameters = {"admin_consent": "True", "error": chosen, "error_description": description}
            parameters["state"] = asked.state
        else:
            parameters = {"error": "access_denied", "error_subcode": "cancel", "state": asked.state}
        return callback_url(asked.redirect_uri, parameters)


def _rights(asked: _Asked) -> list[str]:
    if asked.scope is None:
        return list(asked.app.required_roles)
    scopes = asked.scope.split()
    named = [scope for scope in scopes if scope != _DEFAULT_SCOPE and scope not in _OPENID_SCOPES]
    return ([*asked.app.required_roles] if _DEFAULT_SCOPE in scopes else []) + named
