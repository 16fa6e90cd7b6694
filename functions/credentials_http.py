"""Credentials and their consent links, for administrators."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import azure.functions as func
from pydantic import Field

from functions.grants_http import Mailbox, grant_view
from functions.replies import answer, created, json_reply, no_content
from functions.requests import Body, Request
from shared.connection_admin.views import fault_view
from shared.consent.links import ConsentLinks
from shared.credential_admin import CredentialAdmin
from shared.credentials import STATUSES, Credential, GrantType, NewCredential, outlook
from shared.errors import Conflict
from shared.grant_checks import GrantChecks
from shared.paging import page_of
from shared.proofs import AuthMethod, TypedProof, identity_of
from shared.settings import Settings
from shared.tickets import LONGEST_LINK_HOURS, Ticket

_PROOF_FIELDS = {"auth_method", "client_secret", "certificate", "managed_identity_client_id"}
Name = Annotated[str, Field(min_length=1, max_length=200)]
Secret = Annotated[str, Field(max_length=1000, repr=False)]
CertificateText = Annotated[str, Field(max_length=100_000, repr=False)]
Passphrase = Annotated[str, Field(max_length=1000, repr=False)]


class _ProofBody(Body):
    """How an app proves itself; which fields are needed follows from the auth method."""

    client_secret: Secret = ""
    secret_expires_at: str | None = None
    certificate: CertificateText = ""
    certificate_passphrase: Passphrase = ""
    managed_identity_client_id: str = ""


class CreateCredential(_ProofBody):
    """POST credentials."""

    name: Name
    client_id: str
    grant_type: GrantType
    auth_method: AuthMethod = AuthMethod.SECRET
    cloud: str | None = None
    tenant: str | None = None
    token_endpoint_url: str | None = None
    auth_endpoint_url: str | None = None


class RotateSecret(_ProofBody):
    """POST credentials/{id}/secret; without *auth_method* the credential keeps its method."""

    auth_method: AuthMethod | None = None


class ChangeCredential(RotateSecret):
    """PATCH credentials/{id}."""

    name: Name = ""


class VerifyCredential(Body):
    """POST credentials/{id}/verify."""

    tenant: str = ""
    mailbox: Mailbox = ""


class CreateLink(Body):
    """POST credentials/{id}/consent-links."""

    expected_tenant: str = ""
    label: Annotated[str, Field(max_length=200)] = ""
    expires_in_hours: Annotated[float, Field(gt=0, le=LONGEST_LINK_HOURS)] = 168


def blueprint(admin: CredentialAdmin, checks: GrantChecks, links: ConsentLinks, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _credentials(bp, admin, settings)
    _proofs(bp, admin, checks, settings)
    _links(bp, links, settings)
    return bp


def _credentials(bp: func.Blueprint, admin: CredentialAdmin, settings: Settings) -> None:
    @bp.function_name("credentials_create")
    @bp.route("credentials", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            asked = NewCredential(**dict(request.body(CreateCredential)))
            credential = admin.create(asked)
            shown = view(credential, settings, admin.clock())
            return created(shown, f"{settings.public_base_url}/api/credentials/{credential.id}")

        return answer(req, settings, handle)

    @bp.function_name("credentials_list")
    @bp.route("credentials", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            status, span = request.choice("status", STATUSES), request.span()
            found = [each for each in admin.all() if status in ("", each.status) and each.created_at in span]
            keyed = [(credential.id, view(credential, settings, admin.clock())) for credential in found]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("credentials_get")
    @bp.route("credentials/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        return answer(req, settings, lambda request: _shown(admin.get(request.route("id")), settings, admin.clock()))

    @bp.function_name("credentials_change")
    @bp.route("credentials/{id}", methods=["PATCH"], auth_level=func.AuthLevel.FUNCTION)
    def change(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            return _shown(_changed(request, admin), settings, admin.clock())

        return answer(req, settings, handle)

    @bp.function_name("credentials_delete")
    @bp.route("credentials/{id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            admin.delete(request.route("id"))
            return no_content()

        return answer(req, settings, handle)


def _proofs(bp: func.Blueprint, admin: CredentialAdmin, checks: GrantChecks, settings: Settings) -> None:
    @bp.function_name("credentials_rotate")
    @bp.route("credentials/{id}/secret", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def rotate(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(RotateSecret)
            done = admin.rotate(request.route("id"), _typed(body, admin.get(request.route("id"))))
            shown = view(done.credential, settings, admin.clock())
            return json_reply({"proven": done.proven, "detail": done.detail, **shown})

        return answer(req, settings, handle)

    @bp.function_name("credentials_verify")
    @bp.route("credentials/{id}/verify", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def verify(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(VerifyCredential)
            credential, tenant = admin.verifiable(request.route("id"), body.tenant)
            if not credential.ready:
                raise Conflict("The credential's secret is not stored yet. Try again in a moment, or delete it.")
            by_portal = credential.grant_type is GrantType.CLIENT_CREDENTIALS
            check = checks.verify_tenant if by_portal else checks.verify_existing
            grant = check(credential, tenant, body.mailbox)
            checks.audit.write("grant.verify", grant.status.value, grant_id=grant.id)
            return json_reply(grant_view(grant))

        return answer(req, settings, handle)


def _links(bp: func.Blueprint, links: ConsentLinks, settings: Settings) -> None:
    @bp.function_name("consent_links_create")
    @bp.route("credentials/{id}/consent-links", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body, credential_id = request.body(CreateLink), request.route("id")
            link = links.create(
                credential_id, expected_tenant=body.expected_tenant, label=body.label, hours=body.expires_in_hours
            )
            place = f"{settings.public_base_url}/api/credentials/{credential_id}/consent-links/{link.ticket.id}"
            return created({**_link_view(link.ticket, "open"), "url": link.url}, place)

        return answer(req, settings, handle)

    @bp.function_name("consent_links_list")
    @bp.route("credentials/{id}/consent-links", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            now = links.clock()
            keyed = [
                (f"{ticket.created_at}|{ticket.id}", _link_view(ticket, ticket.status(now)))
                for ticket in links.of(request.route("id"))
            ]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("consent_links_withdraw")
    @bp.route("credentials/{id}/consent-links/{link_id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def withdraw(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            links.withdraw(request.route("id"), request.route("link_id"))
            return no_content()

        return answer(req, settings, handle)


def view(credential: Credential, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return the credential as answers show it; never a secret."""
    shown, ahead = asdict(credential), outlook(credential, now)
    names = ("id", "name", "client_id", "cloud", "tenant", "secret_expires_at", "status", "version", "created_at")
    return {
        **{name: shown[name] for name in names},
        "provider": "microsoft365",
        "grant_type": credential.grant_type.value,
        "auth_method": credential.auth_method.value,
        "managed_identity_client_id": identity_of(credential.active_version) or None,
        "expires_at": credential.secret_expires_at,
        "expires_in_days": ahead.days,
        "expiry": ahead.expiry.value,
        "account_type": "multitenant" if credential.multitenant else "single_tenant",
        "redirect_uri": settings.redirect_uri,
        "token_endpoint_url": credential.token_endpoint_url,
        "auth_endpoint_url": credential.auth_endpoint_url,
        "unproven_secret": bool(credential.candidate_version),
        "fault": fault_view(credential.fault),
    }


def _changed(request: Request, admin: CredentialAdmin) -> Credential:
    """Change what the body names; what proves the app is rotated in, so that a wrong one displaces nothing."""
    body, credential_id, version = request.body(ChangeCredential), request.route("id"), request.if_match()
    given = body.model_dump(exclude_unset=True)
    if not given.keys() & _PROOF_FIELDS:
        return admin.change(credential_id, given, version)
    if "name" in given or version is not None:
        admin.change(credential_id, {"name": body.name} if "name" in given else {}, version)
    return admin.rotate(credential_id, _typed(body, admin.get(credential_id))).credential


def _typed(body: ChangeCredential | RotateSecret, credential: Credential) -> TypedProof:
    """Return the proof in *body*; without a method it is of the credential's own."""
    return TypedProof(
        body.auth_method or credential.auth_method,
        body.client_secret,
        body.secret_expires_at,
        body.certificate,
        body.certificate_passphrase,
        body.managed_identity_client_id,
    )


def _shown(credential: Credential, settings: Settings, now: datetime) -> func.HttpResponse:
    return json_reply(view(credential, settings, now), headers={"ETag": f'"{credential.version}"'})


def _link_view(ticket: Ticket, status: str) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "label": ticket.label,
        "expected_tenant": ticket.expected_tenant or None,
        "status": status,
        "created_at": ticket.created_at,
        "expires_at": ticket.expires_at,
        "grant_id": ticket.grant_id or None,
    }
