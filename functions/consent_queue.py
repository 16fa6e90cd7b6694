"""The queue of consent work: grants to check or erase, credentials to keep, consents whose callback died half-way."""

import json

import azure.functions as func

from shared.consent.trip import Consent
from shared.credential_upkeep import CredentialUpkeep
from shared.grant_checks import GrantChecks
from shared.purge import Purge
from shared.schedule import CREDENTIAL, PURGE, QUEUES, STATE, Wakeup


def blueprint(consent: Consent, checks: GrantChecks, upkeep: CredentialUpkeep, purge: Purge) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again."""
    bp = func.Blueprint()

    @bp.function_name("consent_check")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[STATE], connection="MAIL_STORAGE")
    def check(msg: func.QueueMessage) -> None:
        wakeup = Wakeup.from_body(json.loads(msg.get_body()))
        if wakeup.kind == STATE:
            consent.finish(wakeup.id, wakeup.due)
        elif wakeup.kind == PURGE:
            purge.handle(wakeup)
        elif wakeup.kind == CREDENTIAL:
            upkeep.handle(wakeup)
        else:
            checks.handle(wakeup)

    return bp
