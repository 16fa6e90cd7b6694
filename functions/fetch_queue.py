"""The queue of fetch: whoever is woken works on what the record asks for."""

import json

import azure.functions as func

from functions.watch import Watch, nobody
from shared.fetch.run import Fetch
from shared.schedule import FETCH, QUEUES, Wakeup


def blueprint(fetch: Fetch, watch: Watch = nobody) -> func.Blueprint:
    """Return the function; trouble with storage is raised, so that the host tries again. Each time *watch* is told."""
    bp = func.Blueprint()

    @bp.function_name("fetch_run")
    @bp.queue_trigger(arg_name="msg", queue_name=QUEUES[FETCH], connection="MAIL_STORAGE")
    def run(msg: func.QueueMessage) -> None:
        watch()
        fetch.run(Wakeup.from_body(json.loads(msg.get_body())))

    return bp
