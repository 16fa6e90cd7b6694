"""How are tenants, people, app registrations, consent and identities of the local cloud changed from outside."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from localcloud.control.replies import known, replying
from localcloud.entra.clients import certificate_thumbprint
from localcloud.world import GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR

if TYPE_CHECKING:
    from starlette.requests import Request

    from localcloud.control.replies import Act
    from localcloud.world import Registration, Tenant, User, World

ROLE_NAMES = {
    "global_administrator": GLOBAL_ADMINISTRATOR,
    "privileged_role_administrator": PRIVILEGED_ROLE_ADMINISTRATOR,
    "application_administrator": "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
}
_YEAR_SECONDS = 365 * 86_400
_USER_FIELDS = ("address", "display_name", "mailbox_state", "administrator_roles")
_REGISTRATION_FIELDS = ("display_name", "redirect_uris", "multitenant", "required_roles", "federated_subjects")


class DirectoryControl:
    """The control routes that change the directories of *world*."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes below the control root."""
        user, app, principal = "/tenants/{tenant}/users", "/registrations", "/tenants/{tenant}/principals/{client_id}"
        table: list[tuple[str, str, Act, int]] = [
            ("GET", "/tenants", self._list_tenants, 200),
            ("POST", "/tenants", self._add_tenant, 201),
            ("GET", "/tenants/{tenant}", lambda request, _: describe_tenant(self._tenant(request)), 200),
            ("DELETE", "/tenants/{tenant}", self._remove_tenant, 204),
            ("POST", user, self._add_user, 201),
            ("PATCH", user + "/{user}", self._change_user, 200),
            ("DELETE", user + "/{user}", self._remove_user, 204),
            ("PUT", principal, self._consent, 200),
            ("PATCH", principal, self._change_principal, 200),
            ("DELETE", principal, self._revoke, 204),
            ("GET", app, self._list_registrations, 200),
            ("POST", app, self._add_registration, 201),
            ("GET", app + "/{client_id}", lambda request, _: describe_registration(self._app(request)), 200),
            ("PATCH", app + "/{client_id}", self._change_registration, 200),
            ("DELETE", app + "/{client_id}", self._remove_registration, 204),
            ("POST", app + "/{client_id}/secrets", self._add_secret, 201),
            ("PATCH", app + "/{client_id}/secrets/{secret_id}", self._expire_secret, 200),
            ("DELETE", app + "/{client_id}/secrets/{secret_id}", self._remove_secret, 204),
            ("POST", app + "/{client_id}/certificates", self._add_certificate, 201),
            ("DELETE", app + "/{client_id}/certificates/{thumbprint}", self._remove_certificate, 204),
            ("GET", "/identities", lambda _request, _: [asdict(entry) for entry in self._world.identities], 200),
            ("POST", "/identities", self._add_identity, 201),
        ]
        return [Route(path, replying(act, status), methods=[method]) for method, path, act, status in table]

    def _tenant(self, request: Request) -> Tenant:
        found: Tenant = known(self._world.find_tenant(request.path_params["tenant"]), "tenant")
        return found

    def _user(self, request: Request) -> User:
        found: User = known(self._tenant(request).find_user(request.path_params["user"]), "user")
        return found

    def _app(self, request: Request) -> Registration:
        found: Registration = known(self._world.registrations.get(request.path_params["client_id"]), "registration")
        return found

    def _list_tenants(self, _request: Request, _body: dict[str, Any]) -> list[dict[str, Any]]:
        return [describe_tenant(tenant) for tenant in self._world.tenants.values()]

    def _add_tenant(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return describe_tenant(self._world.add_tenant(body["domain"], body["display_name"], body.get("id")))

    def _remove_tenant(self, request: Request, _body: dict[str, Any]) -> None:
        del self._world.tenants[self._tenant(request).id]

    def _add_user(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        details = _user_fields(body)
        address, display_name = details.pop("address"), details.pop("display_name")
        return asdict(self._world.add_user(self._tenant(request), address, display_name, **details))

    def _change_user(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        user = self._user(request)
        vars(user).update(_user_fields(body))
        return asdict(user)

    def _remove_user(self, request: Request, _body: dict[str, Any]) -> None:
        del self._tenant(request).users[self._user(request).id]

    def _consent(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        roles = None if body.get("roles") is None else set(body["roles"])
        return _describe_principal(self._world.consent(self._tenant(request), self._app(request), roles))

    def _change_principal(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        principal = known(self._tenant(request).principals.get(request.path_params["client_id"]), "principal")
        principal.enabled = bool(body.get("enabled", principal.enabled))
        principal.roles = set(body.get("roles", principal.roles))
        return _describe_principal(principal)

    def _revoke(self, request: Request, _body: dict[str, Any]) -> None:
        self._world.revoke(self._tenant(request), request.path_params["client_id"])

    def _list_registrations(self, _request: Request, _body: dict[str, Any]) -> list[dict[str, Any]]:
        return [describe_registration(app) for app in self._world.registrations.values()]

    def _add_registration(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        home: Tenant = known(self._world.find_tenant(body["home_tenant"]), "home tenant")
        details = {name: body[name] for name in (*_REGISTRATION_FIELDS, "client_id") if name in body}
        app = self._world.add_registration(home, details.pop("display_name"), details.pop("redirect_uris"), **details)
        secret = {"secret": self._make_secret(app, body)} if body.get("secret", True) else {}
        return describe_registration(app) | secret

    def _change_registration(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        app = self._app(request)
        vars(app).update({name: body[name] for name in _REGISTRATION_FIELDS if name in body})
        return describe_registration(app)

    def _remove_registration(self, request: Request, _body: dict[str, Any]) -> None:
        client_id = self._app(request).client_id
        del self._world.registrations[client_id]
        for tenant in self._world.tenants.values():
            self._world.revoke(tenant, client_id)

    def _make_secret(self, app: Registration, body: dict[str, Any]) -> dict[str, Any]:
        expires_at = self._world.clock() + float(body.get("expires_in_seconds", _YEAR_SECONDS))
        secret_id, value = app.add_secret(expires_at, body.get("value"))
        return {"secret_id": secret_id, "value": value, "expires_at": expires_at}

    def _add_secret(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return self._make_secret(self._app(request), body)

    def _expire_secret(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        app, secret_id = self._app(request), request.path_params["secret_id"]
        expires_at = self._world.clock() + float(body.get("expires_in_seconds", 0))
        app.secrets[known(app.secret_ids.get(secret_id), "secret id")] = expires_at
        return {"secret_id": secret_id, "expires_at": expires_at}

    def _remove_secret(self, request: Request, _body: dict[str, Any]) -> None:
        app, secret_id = self._app(request), request.path_params["secret_id"]
        known(app.secret_ids.get(secret_id), "secret id")
        app.remove_secret(secret_id)

    def _add_certificate(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        thumbprint = certificate_thumbprint(body["certificate"])
        self._app(request).certificates[thumbprint] = body["certificate"]
        return {"thumbprint": thumbprint}

    def _remove_certificate(self, request: Request, _body: dict[str, Any]) -> None:
        known(self._app(request).certificates.pop(request.path_params["thumbprint"], None), "certificate")

    def _add_identity(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        tenant: Tenant = known(self._world.find_tenant(body["tenant"]), "tenant")
        return asdict(self._world.add_identity(tenant, body["name"]))


def _user_fields(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a user that *body* gives; roles may be written by name."""
    given = {name: body[name] for name in _USER_FIELDS if name in body}
    if "administrator_roles" in given:
        given["administrator_roles"] = tuple(ROLE_NAMES.get(role, role) for role in given["administrator_roles"])
    return given


def _describe_principal(principal: Any) -> dict[str, Any]:
    return {**asdict(principal), "roles": sorted(principal.roles)}


def describe_tenant(tenant: Tenant) -> dict[str, Any]:
    """Return a tenant as the control endpoint shows it."""
    return {
        "id": tenant.id,
        "domain": tenant.domain,
        "display_name": tenant.display_name,
        "users": [asdict(user) for user in tenant.users.values()],
        "principals": {client_id: _describe_principal(entry) for client_id, entry in tenant.principals.items()},
    }


def describe_registration(app: Registration) -> dict[str, Any]:
    """Return a registration as the control endpoint shows it; secrets by id only, as in the portal."""
    plain = {name: getattr(app, name) for name in ("client_id", "home_tenant", *_REGISTRATION_FIELDS)}
    expiry = {secret_id: app.secrets[value] for secret_id, value in app.secret_ids.items()}
    return {**plain, "secrets": expiry, "certificates": list(app.certificates)}
