"""Whether connections may use a grant, by what the records of credential and grant say."""

from shared.codes import Code
from shared.credentials import Credential
from shared.errors import CredentialFault, Fault
from shared.grants import Grant, standing_fault


def why_not(credential: Credential, grant: Grant) -> Fault | None:
    """Return why the connections of *grant* wait, or None where they need not; the credential's fault comes first."""
    if not credential.ready:
        return CredentialFault("The credential is still being stored. This ends by itself.", retryable=True)
    if credential.fault is not None:
        known = credential.fault.code in Code._value2member_map_
        code = Code(credential.fault.code) if known else Code.CREDENTIAL_REFUSED
        return CredentialFault(credential.fault.detail, code, microsoft=credential.fault.microsoft, retryable=True)
    return standing_fault(grant)
