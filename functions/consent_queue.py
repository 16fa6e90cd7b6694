"""The queue of consent work and of housekeeping: grants to check or erase, credentials and connections to keep."""

import azure.functions as func

from functions.watch import Watch, nobody
from functions.woken import woken
from shared.consent.trip import Consent
from shared.credential_upkeep import CredentialUpkeep
from shared.grant_checks import GrantChecks
from shared.keeping.run import Keep
from shared.purge import Purge
from shared.schedule import CREDENTIAL, KEEP, PURGE, QUEUES, STATE


def blueprint(
    consent: Consent,
    checks: GrantChecks,
    upkeep: CredentialUpkeep,
    purge: Purge,
    keep: Keep,
    watch: Watch = nobody,
) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("consent_check")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[STATE], connection="MAIL_STORAGE")
    def check(msg: func.QueueMessage) -> None:
        watch()
        with woken(msg) as wakeup:
            if wakeup.kind == STATE:
                consent.finish(wakeup.id, wakeup.due)
            elif wakeup.kind == PURGE:
                purge.handle(wakeup)
            elif wakeup.kind == KEEP:
                keep.handle(wakeup)
            elif wakeup.kind == CREDENTIAL:
                upkeep.handle(wakeup)
            else:
                checks.handle(wakeup)

    return bp
