"""How several faults of a request become one refusal that names them all."""

from collections.abc import Sequence

from shared.codes import Code
from shared.credentials import PERSONAL_TENANT
from shared.errors import Conflict, FieldFault, InvalidRequest

_SHOWN_CONNECTIONS = 20


def refuse_if(faults: Sequence[FieldFault]) -> None:
    """Raise `InvalidRequest` that names every one of *faults*, if there are any."""
    if faults:
        names = ", ".join(fault.pointer for fault in faults)
        detail = f"The request has {len(faults)} fault{'s' if len(faults) > 1 else ''}: {names}. See errors for each."
        code = Code(faults[0].code) if len(faults) == 1 and faults[0].code in Code._value2member_map_ else None
        raise InvalidRequest(detail, faults, code)


def refuse_personal(tenant: str, pointer: str) -> None:
    """Raise `InvalidRequest` where *tenant* (in lower case) stands for personal accounts, alone or among others."""
    if tenant in ("common", "consumers", PERSONAL_TENANT):
        message = f"{tenant} stands for personal Microsoft accounts: name the organisation's tenant (id or domain)"
        refuse_if([FieldFault(pointer, Code.PERSONAL_ACCOUNTS_UNSUPPORTED.value, message)])


def refuse_in_use(connection_ids: Sequence[str], code: Code, thing: str) -> None:
    """Raise `Conflict` that names the connections under a thing, if there are any."""
    if connection_ids:
        shown = ", ".join(connection_ids[:_SHOWN_CONNECTIONS])
        more = " and others" if len(connection_ids) > _SHOWN_CONNECTIONS else ""
        raise Conflict(f"Connections use this {thing}: {shown}{more}. Delete them first.", code)
