"""Hooks and templates of outgoing connections for administrators, and the public address of each hook."""

import hashlib
from dataclasses import replace
from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import Field, StringConstraints

from functions.replies import answer, created, json_reply, no_content
from functions.requests import Body, Request, check
from functions.send_bodies import MessageBody
from functions.send_http import idempotency_key
from shared.hooks.hooks import Call, Hooks, NewHook
from shared.hooks.rows import Hook
from shared.hooks.templates import MailTemplates, Stored
from shared.paging import page_of
from shared.send.accept import Accept
from shared.settings import Settings

Text = Annotated[str, StringConstraints(strip_whitespace=False)]


class TemplateBody(Body):
    """The sources of a template's parts; recipients are addresses separated by commas."""

    to: Text = ""
    cc: Text = ""
    bcc: Text = ""
    reply_to: Text = ""
    subject: Text = ""
    text: Text = ""
    html: Text = ""


class PreviewBody(Body):
    """A payload to try; *template* in place of what is stored under the name."""

    payload: Any = None
    template: TemplateBody | None = None


class VerifyBody(Body):
    """How a hook's source signs; without *secret* one is made and shown once."""

    type: Literal["standard_webhooks", "hmac_sha256"]
    header: str = ""
    secret: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None


class HookBody(Body):
    """A hook to make."""

    template: str
    verify: VerifyBody | None = None
    dedupe_key: Annotated[str, Field(max_length=1024)] = ""

    def asked(self) -> NewHook:
        """Return it as the use case takes it."""
        verify = self.verify
        if verify is None:
            return NewHook(self.template, dedupe_key=self.dedupe_key)
        return NewHook(self.template, verify.type, verify.header, verify.secret or "", self.dedupe_key)


def blueprint(hooks: Hooks, templates: MailTemplates, accept: Accept, settings: Settings) -> func.Blueprint:
    """Return the routes of this area."""
    bp = func.Blueprint()
    _calls(bp, hooks, accept, settings)
    _hooks(bp, hooks, settings)
    _templates(bp, templates, settings)
    _template(bp, hooks, templates, settings)
    return bp


def _calls(bp: func.Blueprint, hooks: Hooks, accept: Accept, settings: Settings) -> None:
    @bp.function_name("hooks_call")
    @bp.route("hooks/{token}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    def call(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            content = request.raw.get_body()
            headers = {name.lower(): value for name, value in request.raw.headers.items()}
            rendered = hooks.render(request.route("token"), Call(content, request.header("content-type"), headers))
            sent = idempotency_key(request)
            # A key of the source speaks of this very body; one that the hook makes, of whatever the source means by it.
            same = hashlib.sha256(content).hexdigest() if sent else "hook"
            submission = check(MessageBody, rendered.mail).submission(rendered.key_of(sent), same)
            accepted = accept.accept(rendered.connection, replace(submission, hook_id=rendered.hook.id))
            body = {"id": accepted.id, "status": accepted.status.value, "deduplicated": accepted.replayed}
            return json_reply(body, 202, {"Idempotent-Replayed": "true"} if accepted.replayed else {})

        return answer(req, settings, handle)


def _hooks(bp: func.Blueprint, hooks: Hooks, settings: Settings) -> None:
    @bp.function_name("hooks_create")
    @bp.route("connections/{id}/hooks", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def create(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            made = hooks.create(request.route("id"), request.body(HookBody).asked())
            url = f"{settings.public_base_url}/api/hooks/{made.token}"
            place = f"{settings.public_base_url}/api/connections/{made.hook.connection_id}/hooks/{made.hook.id}"
            secret = {"verify_secret": made.secret} if made.secret else {}
            return created({**_hook_view(made.hook), "url": url, **secret}, place)

        return answer(req, settings, handle)

    @bp.function_name("hooks_list")
    @bp.route("connections/{id}/hooks", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            keyed = [(hook.id, _hook_view(hook)) for hook in hooks.of(request.route("id"))]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("hooks_delete")
    @bp.route("connections/{id}/hooks/{hook_id}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            hooks.delete(request.route("id"), request.route("hook_id"))
            return no_content()

        return answer(req, settings, handle)


def _templates(bp: func.Blueprint, templates: MailTemplates, settings: Settings) -> None:
    @bp.function_name("templates_list")
    @bp.route("connections/{id}/templates", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def list_all(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            keyed = [(item.name, _template_view(item)) for item in reversed(templates.all(request.route("id")))]
            page = page_of(keyed, request.limit(), request.query("cursor"))
            return json_reply({"data": page.items, "next_cursor": page.next_cursor})

        return answer(req, settings, handle)

    @bp.function_name("templates_put")
    @bp.route("connections/{id}/templates/{name}", methods=["PUT"], auth_level=func.AuthLevel.FUNCTION)
    def put(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            parts = request.body(TemplateBody).model_dump()
            stored = templates.put(request.route("id"), request.route("name"), parts, request.if_match())
            return json_reply(_template_view(stored), 200, {"ETag": f'"{stored.version}"'})

        return answer(req, settings, handle)


def _template(bp: func.Blueprint, hooks: Hooks, templates: MailTemplates, settings: Settings) -> None:
    @bp.function_name("templates_get")
    @bp.route("connections/{id}/templates/{name}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
    def get(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            stored = templates.get(request.route("id"), request.route("name"))
            return json_reply(_template_view(stored), 200, {"ETag": f'"{stored.version}"'})

        return answer(req, settings, handle)

    @bp.function_name("templates_delete")
    @bp.route("connections/{id}/templates/{name}", methods=["DELETE"], auth_level=func.AuthLevel.FUNCTION)
    def delete(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_mark()
            templates.delete(request.route("id"), request.route("name"))
            return no_content()

        return answer(req, settings, handle)

    @bp.function_name("templates_preview")
    @bp.route("connections/{id}/templates/{name}/preview", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
    def preview(req: func.HttpRequest) -> func.HttpResponse:
        def handle(request: Request) -> func.HttpResponse:
            request.admin_write()
            body = request.body(PreviewBody)
            parts = body.template.model_dump() if body.template else None
            return json_reply(hooks.preview(request.route("id"), request.route("name"), parts, body.payload))

        return answer(req, settings, handle)


def _template_view(template: Stored) -> dict[str, Any]:
    return {
        "name": template.name,
        "version": template.version,
        "updated_at": template.updated_at,
        **{part: source for part, source in template.parts.items() if source},
    }


def _hook_view(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "template": hook.template,
        "verify": {"type": hook.verify, "header": hook.header or None} if hook.verify else None,
        "dedupe_key": hook.dedupe_key or None,
        "created_at": hook.created_at,
    }
