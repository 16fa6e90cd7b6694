"""How the app proves itself to Entra: by a secret, a certificate, or a managed identity; and what people mistype."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.certificates import read_certificate
from shared.codes import Code
from shared.errors import FieldFault
from shared.identifiers import is_guid
from shared.times import from_text, to_text

IDENTITY_PIN = "identity:"
"""A pinned version that begins so names a managed identity by its client id; the vault holds nothing for it."""

OTHER_MAY_WORK = frozenset({Code.SECRET_WRONG, Code.SECRET_EXPIRED, Code.ASSERTION_REFUSED, Code.IDENTITY_UNAVAILABLE})
"""Refusals of one proof, after which another that the credential pins may still work."""


class AuthMethod(StrEnum):
    """How the app proves itself to Entra."""

    SECRET = "secret"  # noqa: S105 - the name of a method
    CERTIFICATE = "certificate"
    FEDERATED = "federated"


@dataclass(frozen=True, slots=True)
class TypedProof:
    """What a person typed in; *method* tells which of the fields belong there."""

    method: AuthMethod
    client_secret: str = field(default="", repr=False)
    secret_expires_at: str | None = None
    certificate: str = field(default="", repr=False)
    certificate_passphrase: str = field(default="", repr=False)
    managed_identity_client_id: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the vault shall hold (*value*), or the *pin* of a managed identity, for which it holds nothing."""

    method: AuthMethod
    value: str = field(default="", repr=False)
    pin: str = ""
    expires_at: str | None = None


def examine_proof(typed: TypedProof, now: datetime) -> tuple[Proof, list[FieldFault]]:
    """Return the proof that was typed in, and every fault of it together."""
    faults = _strangers(typed)
    match typed.method:
        case AuthMethod.SECRET:
            faults += secret_faults(typed.client_secret) + expiry_faults(typed.secret_expires_at, now)
            return Proof(typed.method, typed.client_secret, expires_at=typed.secret_expires_at), faults
        case AuthMethod.FEDERATED:
            identity = typed.managed_identity_client_id.strip().lower()
            if not is_guid(identity):
                message = "must be the Client ID of a user-assigned managed identity that is assigned to this app"
                faults.append(FieldFault("/managed_identity_client_id", "not_a_guid", message))
            return Proof(typed.method, pin=f"{IDENTITY_PIN}{identity}"), faults
        case AuthMethod.CERTIFICATE:
            read, found = read_certificate(typed.certificate, typed.certificate_passphrase, now)
            if read is None:
                return Proof(typed.method), faults + found
            value = {"private_key": read.private_key, "public_certificate": read.public_certificate}
            return Proof(typed.method, json.dumps(value), expires_at=to_text(read.expires_at)), faults


def identity_of(pin: str) -> str:
    """Return the client id of the managed identity that *pin* names, or '' where it names a version in the vault."""
    return pin.removeprefix(IDENTITY_PIN) if pin.startswith(IDENTITY_PIN) else ""


def identity_value(identity: str, audience: str) -> str:
    """Return what stands in for a vault's value where a managed identity proves the app."""
    return json.dumps({"managed_identity": identity, "audience": audience})


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


def _strangers(typed: TypedProof) -> list[FieldFault]:
    """Return a fault for each field that belongs to another method: nobody should believe that it is in use."""
    given = {
        "client_secret": (AuthMethod.SECRET, typed.client_secret),
        "secret_expires_at": (AuthMethod.SECRET, typed.secret_expires_at),
        "certificate": (AuthMethod.CERTIFICATE, typed.certificate),
        "certificate_passphrase": (AuthMethod.CERTIFICATE, typed.certificate_passphrase),
        "managed_identity_client_id": (AuthMethod.FEDERATED, typed.managed_identity_client_id),
    }
    return [
        FieldFault(f"/{name}", "other_method", f"belongs to auth_method {method.value}, not {typed.method.value}")
        for name, (method, value) in given.items()
        if value and method is not typed.method
    ]
