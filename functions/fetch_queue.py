"""The queue of fetch: whoever is woken works on what the record asks for."""

import azure.functions as func

from functions.watch import Watch, nobody
from functions.woken import woken
from shared.fetch.run import Fetch
from shared.schedule import FETCH, QUEUES


def blueprint(fetch: Fetch, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("fetch_run")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[FETCH], connection="MAIL_STORAGE")
    def run(msg: func.QueueMessage) -> None:
        watch()
        with woken(msg) as wakeup:
            fetch.run(wakeup)

    return bp
