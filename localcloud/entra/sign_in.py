"""What happens at the simulated ``/authorize``: a person signs in and the app gets a code (OpenID Connect)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from localcloud.entra.directory import registration_for, required
from localcloud.entra.errors import EntraError
from localcloud.entra.grants import SignIn, TokenGrants
from localcloud.entra.pages import Pages, callback_url, check_redirect, people, redirect, signed_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from localcloud.world import Registration, Tenant


class _Asked(NamedTuple):
    app: Registration
    tenant: Tenant | None
    redirect_uri: str


class SignInEndpoint:
    """The ``/oauth2/v2.0/authorize`` endpoint; *grants* redeems the codes it gives out."""

    def __init__(self, grants: TokenGrants, pages: Pages) -> None:
        self._world = grants.world
        self._grants = grants
        self._pages = pages

    def show(self, tenant_name: str, query: Mapping[str, str]) -> Response:
        """
        Return the page on which a person chooses who signs in.

        Raises:
            EntraError: the request is wrong, and there is nowhere safe to redirect to.
        """
        asked = self._read(tenant_name, query)
        if refusal := _refusal(query):
            return redirect(callback_url(asked.redirect_uri, {**refusal, "state": query.get("state")}))
        return self._pages.render(
            "sign_in.html",
            app=asked.app.display_name,
            people=people(self._world, asked.tenant),
            hint=query.get("login_hint"),
        )

    def decide(self, tenant_name: str, query: Mapping[str, str], form: Mapping[str, str]) -> Response:
        """Send the browser back with a code for the person the page's form names, or with ``access_denied``."""
        asked = self._read(tenant_name, query)
        state = query.get("state")
        refusal = _refusal(query)
        if form.get("action") != "accept":
            description = EntraError(65004).description(self._world.clock())
            refusal = {"error": "access_denied", "error_subcode": "cancel", "error_description": description}
        if refusal:
            return redirect(callback_url(asked.redirect_uri, {**refusal, "state": state}))
        person = signed_in(self._world, asked.tenant, asked.app, required(form, "user"))
        sign_in = SignIn(
            tenant=person.tenant,
            user=person.user,
            client_id=asked.app.client_id,
            redirect_uri=asked.redirect_uri,
            scope=query.get("scope", ""),
            nonce=query.get("nonce"),
            challenge=query.get("code_challenge"),
            challenge_method=query.get("code_challenge_method", "plain"),
            expires_at=self._grants.code_expiry(),
        )
        code = self._grants.code_for(sign_in)
        return redirect(callback_url(asked.redirect_uri, {"code": code, "state": state}))

    def _read(self, tenant_name: str, query: Mapping[str, str]) -> _Asked:
        app, tenant = registration_for(self._world, tenant_name, required(query, "client_id"))
        redirect_uri = required(query, "redirect_uri")
        check_redirect(app, redirect_uri)
        return _Asked(app, tenant, redirect_uri)


def _refusal(query: Mapping[str, str]) -> dict[str, str] | None:
    """Return the error parameters with which Entra refuses what it will not even show a page for."""
    if query.get("response_type") != "code" or query.get("response_mode", "query") != "query":
        return {
            "error": "unsupported_response_type",
            "error_description": "The local cloud answers response_type=code with response_mode=query only.",
        }
    if "openid" not in query.get("scope", "").split():
        description = EntraError(70011, scope=query.get("scope", "")).text
        return {"error": "invalid_request", "error_description": description}
    if query.get("prompt") == "none":
        description = "AADSTS50058: A silent sign-in request was sent but no user is signed in."
        return {"error": "login_required", "error_description": description}
    return None
