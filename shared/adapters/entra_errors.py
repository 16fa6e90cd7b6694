"""What each refusal of Entra ID means: the one table from AADSTS code to a fault of ours."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.codes import Code
from shared.errors import CredentialFault, Fault, GrantFault, Microsoft, Unreachable


@dataclass(frozen=True, slots=True)
class Meaning:
    """The fault that a code stands for, and the sentence that says what to do."""

    kind: type[Fault]
    code: Code
    detail: str
    retryable: bool = False


_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,60}")
"""What codes and ids are made of; anything else may be a text of Microsoft's, which nobody vouches for."""

_WRONG = (
    "Microsoft refused the client secret. Paste the column Value of a secret (not its Secret ID) of this registration, "
    "with POST credentials/{id}/secret."
)
_EXPIRED = "The client secret has expired. Make a new one in the portal and enter it with POST credentials/{id}/secret."
_ASSERTION = (
    "Microsoft refused the app's certificate or managed identity. Upload the certificate to this registration, or "
    "check issuer, subject and audience of its federated credential; POST credentials/{id}/secret sets a new one."
)
_NOT_CONSENTED = (
    "The app is not known in this tenant. Let an administrator of the tenant consent, or check tenant and cloud."
)
_DISABLED = (
    "The app is disabled or blocked in this tenant. Ask its administrator to enable it under Enterprise applications."
)
_UNKNOWN = "There is no such tenant in this cloud. Check the tenant and the cloud."
_OTHER_CLOUD = "The tenant lives in another Microsoft cloud. Register the app there and choose that cloud."
_NOT_MULTITENANT = "The registration is not multitenant. Use its own tenant, or make the registration multitenant."
_SCOPE = "Microsoft refused the scope of the request. Check the cloud of the credential."
_EMPTY = "Microsoft saw no credential of the app. Enter the client secret anew."
_BUSY = "Microsoft's sign-in is not available at the moment. It is tried again by itself."

# Source: entra-docs `reference-error-codes.md` and recorded answers; `error_codes` are what the texts begin with.
MEANINGS: Mapping[int, Meaning] = {
    7000215: Meaning(CredentialFault, Code.SECRET_WRONG, _WRONG),
    70002: Meaning(CredentialFault, Code.SECRET_WRONG, _WRONG),
    7000222: Meaning(CredentialFault, Code.SECRET_EXPIRED, _EXPIRED),
    7000216: Meaning(CredentialFault, Code.CREDENTIAL_REFUSED, _EMPTY),
    700027: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700021: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700023: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700024: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    70021: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700211: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700212: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    700213: Meaning(CredentialFault, Code.ASSERTION_REFUSED, _ASSERTION),
    70011: Meaning(CredentialFault, Code.CREDENTIAL_REFUSED, _SCOPE),
    1002012: Meaning(CredentialFault, Code.CREDENTIAL_REFUSED, _SCOPE),
    50194: Meaning(CredentialFault, Code.CREDENTIAL_REFUSED, _NOT_MULTITENANT),
    9001023: Meaning(CredentialFault, Code.CREDENTIAL_REFUSED, _NOT_MULTITENANT),
    700016: Meaning(GrantFault, Code.APP_NOT_CONSENTED, _NOT_CONSENTED),
    7000229: Meaning(GrantFault, Code.APP_NOT_CONSENTED, _NOT_CONSENTED),
    65001: Meaning(GrantFault, Code.APP_NOT_CONSENTED, _NOT_CONSENTED),
    500011: Meaning(GrantFault, Code.WRONG_CLOUD, _OTHER_CLOUD),
    90038: Meaning(GrantFault, Code.WRONG_CLOUD, _OTHER_CLOUD),
    900382: Meaning(GrantFault, Code.WRONG_CLOUD, _OTHER_CLOUD),
    7000112: Meaning(GrantFault, Code.APP_DISABLED, _DISABLED),
    53003: Meaning(GrantFault, Code.APP_DISABLED, _DISABLED),
    90002: Meaning(GrantFault, Code.TENANT_UNKNOWN, _UNKNOWN),
    900023: Meaning(GrantFault, Code.TENANT_UNKNOWN, _UNKNOWN),
    90024: Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    90033: Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    90006: Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    90012: Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    50000: Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
}

# Where the number is unknown, OAuth's own word decides; a stranger's code must not stop every tenant of the credential.
_BY_ERROR: Mapping[str, Meaning] = {
    "invalid_client": Meaning(
        CredentialFault, Code.CREDENTIAL_REFUSED, "Microsoft refused the app's credential. Check the registration."
    ),
    "temporarily_unavailable": Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    "server_error": Meaning(Unreachable, Code.SIGN_IN_UNAVAILABLE, _BUSY, retryable=True),
    "invalid_tenant": Meaning(GrantFault, Code.TENANT_UNKNOWN, _UNKNOWN),
}
_DEFAULT = Meaning(
    GrantFault,
    Code.CREDENTIAL_REFUSED,
    "Microsoft refused a token for this tenant. See Microsoft's code for the reason.",
)


def fault_of(body: Mapping[str, Any]) -> Fault:
    """Return the fault that an OAuth error *body* stands for, with Microsoft's code and ids."""
    codes = body.get("error_codes")
    numbers = [code for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    known = next((MEANINGS[number] for number in numbers if number in MEANINGS), None)
    error = _identifier(body.get("error"))
    meaning = known or _BY_ERROR.get(error, _DEFAULT)
    microsoft = Microsoft(
        code=f"AADSTS{numbers[0]}"[:60] if numbers else error,
        trace_id=_identifier(body.get("trace_id")),
        correlation_id=_identifier(body.get("correlation_id")),
    )
    return meaning.kind(meaning.detail, meaning.code, microsoft=microsoft, retryable=meaning.retryable)


def _identifier(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""
