"""A small app that shows its tests what the host handed to it."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("sample")
NOTES = Path(os.environ["SAMPLE_NOTES"])


def note(kind: str, **fields: object) -> None:
    """Append one line for the tests to read."""
    with NOTES.open("a") as notes:
        notes.write(json.dumps({"kind": kind, **fields}) + "\n")


def reply(value: object, status: int = 200) -> func.HttpResponse:
    """Answer with JSON."""
    return func.HttpResponse(json.dumps(value), status_code=status, mimetype="application/json")


@app.route(route="echo/{id}/{part?}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    """Tell what the request held."""
    return reply(
        {
            "method": req.method,
            "url": req.url,
            "params": dict(req.route_params),
            "query": dict(req.params),
            "forwarded": req.headers.get("x-forwarded-host"),
            "body": req.get_body().decode(),
            "function": context.function_name,
            "thread": threading.current_thread().name,
        }
    )


@app.route(route="echo/known", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo_known(req: func.HttpRequest) -> func.HttpResponse:
    """Answer on the literal route."""
    return reply({"function": "echo_known", "method": req.method})


@app.route(route="cookies", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    """Set two cookies and redirect."""
    response = func.HttpResponse(status_code=302, headers={"Location": "/elsewhere", "X-Seen": req.method})
    response.headers.add("Set-Cookie", "first=a%20b; Path=/api; HttpOnly; SameSite=Lax; Max-Age=60")
    response.headers.add("Set-Cookie", "__Host-second=2; Path=/; Secure; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    return response


@app.route(route="keyed", auth_level=func.AuthLevel.FUNCTION)
def keyed(req: func.HttpRequest) -> func.HttpResponse:
    """Answer who may call."""
    return reply({"method": req.method})


@app.route(route="master", auth_level=func.AuthLevel.ADMIN)
def master(req: func.HttpRequest) -> func.HttpResponse:
    """Answer to the master key only."""
    return reply({"method": req.method})


@app.route(route="broken", auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    """Fail."""
    raise RuntimeError(f"{req.method} was bound to fail")


@app.route(route="put", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="fanned-out", connection="SAMPLE_STORAGE")
def put(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    """Put the body on a queue as it is."""
    out.set(req.get_body().decode())
    return reply({}, 202)


@app.route(route="slow/{seconds}", auth_level=func.AuthLevel.ANONYMOUS)
def slow(req: func.HttpRequest) -> func.HttpResponse:
    """Take some time."""
    note("slow-started")
    time.sleep(float(req.route_params["seconds"]))
    return reply({"done": True})


@app.queue_trigger(arg_name="msg", queue_name="%SAMPLE_QUEUE%", connection="SAMPLE_STORAGE")
def take(msg: func.QueueMessage, context: func.Context) -> None:
    """Note a message; its text may ask for failure or delay."""
    body = msg.get_body().decode(errors="replace")
    note("taken", body=body, count=msg.dequeue_count, has_times=bool(msg.insertion_time and msg.expiration_time))
    log.info("took a message", extra={"length": len(body)})
    if body.startswith("sleep "):
        time.sleep(float(body.split()[1]))
        note("slept", body=body)
    if body.startswith("fail"):
        raise ValueError(context.invocation_id)


@app.queue_trigger(arg_name="msg", queue_name="sample-work-poison", connection="SAMPLE_STORAGE")
def bury(msg: func.QueueMessage) -> None:
    """Note what nobody could work on."""
    note("poison", body=msg.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule="%SAMPLE_SCHEDULE%")
def tick(timer: func.TimerRequest) -> None:
    """Note each firing of a timer that is too fast to be monitored."""
    note("tick", host=os.environ.get("SAMPLE_HOST", ""), past_due=timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="0 0 4 * * *")
def nightly(timer: func.TimerRequest) -> None:
    """Note each firing of a timer that keeps a status."""
    note("nightly", past_due=timer.past_due, status=timer.schedule_status)  # type: ignore[attr-defined]
