"""A credential: one OAuth2 app registration as we use it, and what is wrong with one that a person typed in."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from shared.clouds import CLOUDS, Cloud, cloud_of_login_host
from shared.codes import Code
from shared.errors import FieldFault, RecordedFault
from shared.identifiers import is_guid
from shared.times import from_text

ORGANIZATIONS = "organizations"
PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"  # entra-docs, access token claims reference
_REFUSED_TENANTS = ("common", "consumers", PERSONAL_TENANT)
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_TOKEN_PATH = "/oauth2/v2.0/token"  # noqa: S105 - a path
_V1_TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path
_CONSENT_PATHS = ("/v2.0/adminconsent", "/adminconsent", "/oauth2/v2.0/authorize")


class GrantType(StrEnum):
    """How consent is given: by an administrator whom we send to Microsoft, or in the portal."""

    ADMIN_CONSENT = "admin_consent"
    CLIENT_CREDENTIALS = "client_credentials"


class AuthMethod(StrEnum):
    """How the app proves itself to Entra."""

    SECRET = "secret"  # noqa: S105 - the name of a method


@dataclass(frozen=True, slots=True)
class Credential:
    """
    The credential row. *tenant* is the home tenant's id, or ``organizations``.

    The three versions pin the vault: *active_version* is used, *candidate_version* is not proven yet, and
    *fallback_version* was active before. *status* is ``creating`` until the vault holds the secret, then ``ready``.
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
    status: str = "creating"
    version: int = 1
    fault: RecordedFault | None = None

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
    client_secret: str
    secret_expires_at: str | None = None
    cloud: str | None = None
    tenant: str | None = None
    token_endpoint_url: str | None = None
    auth_endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Which cloud and tenant a registration lives in; *tenant* is an id, a domain, or ``organizations``."""

    cloud: str
    tenant: str


def promoted(credential: Credential, version: str) -> Credential:
    """Return the credential with *version*, which has fetched a token, in use; the old one stays as fallback."""
    is_candidate = credential.candidate_version == version
    return replace(
        credential,
        active_version=version,
        candidate_version="" if is_candidate else credential.candidate_version,
        fallback_version=credential.active_version,
        secret_expires_at=credential.candidate_expires_at if is_candidate else credential.secret_expires_at,
        candidate_expires_at=None if is_candidate else credential.candidate_expires_at,
        version=credential.version + 1,
        fault=None,
    )


def examine(asked: NewCredential, now: datetime) -> tuple[Place, list[FieldFault]]:
    """Return where the registration lives, and every fault of *asked* together."""
    faults = []
    if not is_guid(asked.client_id):
        message = "client_id must be a GUID: copy 'Application (client) ID' from the registration's overview"
        faults.append(FieldFault("/client_id", "not_a_guid", message))
    faults += secret_faults(asked.client_secret) + expiry_faults(asked.secret_expires_at, now)
    if asked.token_endpoint_url or asked.auth_endpoint_url:
        place, found = _from_urls(asked)
    else:
        place, found = _from_names(asked)
    if not found:
        found = _tenant_faults(place.tenant, asked)
    return place, faults + found


def secret_faults(secret: str) -> list[FieldFault]:
    """Return what is wrong with a client secret as pasted."""
    if is_guid(secret.strip()):
        message = "this is the Secret ID; copy the column Value"
        return [FieldFault("/client_secret", Code.SECRET_ID_INSTEAD_OF_VALUE.value, message)]
    if not secret.isprintable() or " " in secret or len(secret) < 8:
        message = "client_secret must be the column Value as the portal shows it once: at least 8 characters, no blanks"
        return [FieldFault("/client_secret", "not_a_secret", message)]
    return []


def expiry_faults(text: str | None, now: datetime) -> list[FieldFault]:
    """Return what is wrong with a secret's expiry; None stands for unknown."""
    if text is None:
        return []
    try:
        moment = from_text(text)
    except ValueError:
        message = "secret_expires_at must be a time such as 2027-01-31T00:00:00Z, or null where it is not known"
        return [FieldFault("/secret_expires_at", "not_a_time", message)]
    if moment <= now:
        message = "secret_expires_at is in the past: make a new secret in the portal and enter that"
        return [FieldFault("/secret_expires_at", "in_the_past", message)]
    return []


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
