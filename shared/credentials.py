"""A credential: one OAuth2 app registration as we use it, and what is wrong with one that a person typed in."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from shared.clouds import CLOUDS, Cloud, cloud_of_login_host
from shared.codes import Code
from shared.errors import FieldFault, RecordedFault
from shared.expiry import Expiry, Forecast, forecast, next_warning
from shared.identifiers import is_guid
from shared.proofs import AuthMethod, TypedProof, examine_proof
from shared.times import from_text, to_text

ORGANIZATIONS = "organizations"
FALLBACK = timedelta(hours=24)
"""How long a replaced secret is still tried where the new one is refused."""
CREATION = timedelta(minutes=15)
"""After this a credential whose secret was never stored is taken for abandoned."""
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"  # entra-docs, access token claims reference
_NO_CANDIDATE = {"candidate_version": "", "candidate_expires_at": None, "candidate_method": None}
_REFUSED_TENANTS = ("common", "consumers", PERSONAL_TENANT)
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_TOKEN_PATH = "/oauth2/v2.0/token"  # noqa: S105 - a path
_V1_TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path
_CONSENT_PATHS = ("/v2.0/adminconsent", "/adminconsent", "/oauth2/v2.0/authorize")


class GrantType(StrEnum):
    """How consent is given: by an administrator whom we send to Microsoft, or in the portal."""

    ADMIN_CONSENT = "admin_consent"
    CLIENT_CREDENTIALS = "client_credentials"


STATUSES = ("creating", "ready", "removing")


@dataclass(frozen=True, slots=True)
class Credential:
    """
    The credential row. *tenant* is the home tenant's id, or ``organizations``.

    The three versions pin the vault, or name a managed identity: *active_version* is used, *candidate_version* is not
    proven yet, and *fallback_version* was active before and goes at *fallback_until*. *auth_method* and
    *secret_expires_at* are those of the active one. *expiry_told* is the last threshold (days) that was told of.
    *probes* counts the tries since the *fault* began, the next of which may come at *probe_at*.
    *status* is ``creating`` until the vault holds the secret, then ``ready``; ``removing`` where it never came.
    """

    id: str
    name: str
    client_id: str
    grant_type: GrantType
    auth_method: AuthMethod
    cloud: str
    tenant: str
    secret_name: str
    created_at: str
    active_version: str = ""
    candidate_version: str = ""
    fallback_version: str = ""
    secret_expires_at: str | None = None
    candidate_expires_at: str | None = None
    candidate_method: AuthMethod | None = None
    fallback_until: str | None = None
    expiry_told: int | None = None
    status: str = "creating"
    version: int = 1
    fault: RecordedFault | None = None
    probes: int = 0
    probe_at: str = ""

    @property
    def ready(self) -> bool:
        """Whether the vault holds the secret."""
        return self.status == "ready"

    @property
    def multitenant(self) -> bool:
        """Whether any organisation may consent."""
        return self.tenant == ORGANIZATIONS

    @property
    def place(self) -> Cloud:
        """The cloud that the registration lives in."""
        return CLOUDS[self.cloud]

    @property
    def token_endpoint_url(self) -> str:
        """The v2.0 token endpoint, as the portal shows it."""
        return f"https://{self.place.login_host}/{self.tenant}{_TOKEN_PATH}"

    @property
    def auth_endpoint_url(self) -> str | None:
        """Where an administrator is sent to consent; None where consent is given in the portal."""
        if self.grant_type is GrantType.CLIENT_CREDENTIALS:
            return None
        return f"https://{self.place.login_host}/{self.tenant}/v2.0/adminconsent"

    def versions(self) -> list[str]:
        """Return the pinned versions in the order in which they are tried."""
        return [v for v in (self.active_version, self.candidate_version, self.fallback_version) if v]


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a person typed in; either *cloud* and *tenant*, or the endpoint URLs that the portal shows."""

    name: str
    client_id: str
    grant_type: GrantType
    auth_method: AuthMethod
    client_secret: str = field(default="", repr=False)
    secret_expires_at: str | None = None
    certificate: str = field(default="", repr=False)
    certificate_passphrase: str = field(default="", repr=False)
    managed_identity_client_id: str = ""
    cloud: str | None = None
    tenant: str | None = None
    token_endpoint_url: str | None = None
    auth_endpoint_url: str | None = None

    @property
    def proof(self) -> TypedProof:
        """What was typed in to prove the app."""
        return TypedProof(
            self.auth_method,
            self.client_secret,
            self.secret_expires_at,
            self.certificate,
            self.certificate_passphrase,
            self.managed_identity_client_id,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Which cloud and tenant a registration lives in; *tenant* is an id, a domain, or ``organizations``."""

    cloud: str
    tenant: str


def promoted(credential: Credential, version: str, now: datetime) -> Credential:
    """Return the credential with *version*, which has fetched a token, in use; the old one stays as fallback."""
    is_candidate = credential.candidate_version == version
    return replace(
        credential,
        active_version=version,
        auth_method=(is_candidate and credential.candidate_method) or credential.auth_method,
        fallback_version=credential.active_version,
        fallback_until=to_text(now + FALLBACK) if credential.active_version else None,
        secret_expires_at=credential.candidate_expires_at if is_candidate else credential.secret_expires_at,
        expiry_told=None,
        version=credential.version + 1,
        fault=None,
        **(_NO_CANDIDATE if is_candidate else {}),  # type: ignore[arg-type]
    )


def without_candidate(credential: Credential) -> Credential:
    """Return the credential with its unproven version forgotten."""
    return replace(credential, **_NO_CANDIDATE)  # type: ignore[arg-type]


def outlook(credential: Credential, now: datetime) -> Forecast:
    """Return how near the end of what proves the app is; a managed identity has none."""
    if credential.auth_method is AuthMethod.FEDERATED:
        return Forecast(Expiry.OK)
    return forecast(_ends(credential), credential.expiry_told, now)


def upkeep_at(credential: Credential) -> datetime | None:
    """Return when something is next to be done for the credential: a warning, a fallback to forget, a wreck."""
    if not credential.ready:
        return from_text(credential.created_at) + CREATION
    forget = from_text(credential.fallback_until) if credential.fallback_until else None
    return min(filter(None, (forget, next_warning(_ends(credential), credential.expiry_told))), default=None)


def kept(credential: Credential, now: datetime) -> Credential:
    """Return the credential after what is due at *now*: an old fallback is forgotten, a warning counts as told."""
    told = outlook(credential, now).tell
    after = replace(credential, expiry_told=credential.expiry_told if told is None else told)
    if after.fallback_until and from_text(after.fallback_until) <= now:
        return replace(after, fallback_version="", fallback_until=None)
    return after


def _ends(credential: Credential) -> datetime | None:
    return from_text(credential.secret_expires_at) if credential.secret_expires_at else None


def examine(asked: NewCredential, now: datetime) -> tuple[Place, list[FieldFault]]:
    """Return where the registration lives, and every fault of *asked* together."""
    faults = []
    if not is_guid(asked.client_id):
        message = "client_id must be a GUID: copy 'Application (client) ID' from the registration's overview"
        faults.append(FieldFault("/client_id", "not_a_guid", message))
    faults += examine_proof(asked.proof, now)[1]
    if asked.token_endpoint_url or asked.auth_endpoint_url:
        place, found = _from_urls(asked)
    else:
        place, found = _from_names(asked)
    if not found:
        found = _tenant_faults(place.tenant, asked)
    return place, faults + found


def _from_names(asked: NewCredential) -> tuple[Place, list[FieldFault]]:
    faults = []
    cloud, tenant = asked.cloud or "", (asked.tenant or "").strip().lower()
    if not cloud or not tenant:
        missing = "/cloud" if not cloud else "/tenant"
        message = "give cloud and tenant, or token_endpoint_url and auth_endpoint_url as the portal shows them"
        faults.append(FieldFault(missing, "missing", message))
    if cloud and cloud not in CLOUDS:
        faults.append(FieldFault("/cloud", Code.UNKNOWN_CLOUD.value, f"cloud must be one of {', '.join(CLOUDS)}"))
    return Place(cloud, tenant), faults


def _from_urls(asked: NewCredential) -> tuple[Place, list[FieldFault]]:
    if asked.cloud or asked.tenant:
        message = "give either cloud and tenant, or the endpoint URLs, not both"
        return Place("", ""), [FieldFault("/token_endpoint_url", "ambiguous", message)]
    token_place, faults = _from_url("/token_endpoint_url", asked.token_endpoint_url or "", (_TOKEN_PATH,))
    if asked.auth_endpoint_url is None:
        return token_place, faults
    auth_place, auth_faults = _from_url("/auth_endpoint_url", asked.auth_endpoint_url, _CONSENT_PATHS)
    faults += auth_faults
    if not faults and auth_place != token_place:
        message = (
            "auth_endpoint_url and token_endpoint_url name different clouds or tenants: copy both from one registration"
        )
        faults.append(FieldFault("/auth_endpoint_url", "differs", message))
    return token_place, faults


def _from_url(pointer: str, url: str, paths: tuple[str, ...]) -> tuple[Place, list[FieldFault]]:
    parts = _split(url.strip())
    tenant, _, rest = parts.path.lstrip("/").partition("/")
    path = f"/{rest.rstrip('/')}".lower()
    cloud = cloud_of_login_host(parts.hostname or "")
    faults = []
    if path == _V1_TOKEN_PATH:
        message = "this is the V1 endpoint: copy the V2 endpoint, which contains /oauth2/v2.0/"
        faults.append(FieldFault(pointer, Code.V1_ENDPOINT.value, message))
    elif (
        parts.scheme != "https"
        or path not in paths
        or not tenant
        or parts.query
        or "@" in parts.netloc
        or ":" in parts.netloc
    ):
        message = f"must be https://<login host>/<tenant>{paths[0]}, as the portal shows it under Endpoints"
        faults.append(FieldFault(pointer, "not_an_endpoint", message))
    if cloud is None:
        hosts = ", ".join(sorted({cloud.login_host for cloud in CLOUDS.values()}))
        faults.append(
            FieldFault(pointer, Code.UNKNOWN_CLOUD.value, f"the host must be a Microsoft login host: {hosts}")
        )
    return Place(cloud.name if cloud else "", tenant.lower()), faults


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that hold no IPv6 address
        return urlsplit("")


def _tenant_faults(tenant: str, asked: NewCredential) -> list[FieldFault]:
    pointer = "/tenant" if asked.tenant else "/token_endpoint_url"
    if tenant in _REFUSED_TENANTS:
        message = (
            f"{tenant} stands for personal Microsoft accounts, which have no application permissions for mail: "
            "give the organisation's tenant, or organizations for a multitenant registration"
        )
        return [FieldFault(pointer, Code.PERSONAL_ACCOUNTS_UNSUPPORTED.value, message)]
    if tenant == ORGANIZATIONS or is_guid(tenant) or _DOMAIN.fullmatch(tenant):
        return []
    message = "the tenant must be its id (a GUID), one of its domains, or organizations"
    return [FieldFault(pointer, "not_a_tenant", message)]
