"""Which settings there are, read once and checked whole, all problems named together and values never shown."""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable; *default* None means that there is no default."""

    name: str
    default: str | None
    description: str
    required: bool = False


SETTINGS = (
    Setting("AzureWebJobsStorage", None, "Storage of the Functions host: leases, keys, timers.", required=True),
    Setting(
        "MAIL_STORAGE",
        None,
        "State, mail and queues: a connection string, or `MAIL_STORAGE__accountName` with the app's identity.",
        required=True,
    ),
    Setting("KEY_VAULT_URL", None, "The vault for client secrets and the master key.", required=True),
    Setting(
        "PUBLIC_BASE_URL", "", "Root of every URL we hand out; default `https://$WEBSITE_HOSTNAME`.", required=True
    ),
    Setting(
        "ADMIN_AUTH",
        "key",
        "How administrators prove themselves: `key` (function key), or `easyauth` (App Service Authentication).",
    ),
    Setting("ADMIN_TENANT", "", "With `easyauth`: the id of the tenant whose people administer."),
    Setting("TICK_SCHEDULE", "0 * * * * *", "NCRONTAB of the tick, which wakes whatever is due."),
    Setting("DELIVERY_ALLOW", "", "Comma-separated `host:port` that webhooks may reach besides public https on 443."),
    Setting(
        "DELIVERY_PROXY",
        "",
        "A proxy (`http://host:port`) that makes all calls to destinations and checks their addresses in our place.",
    ),
    Setting(
        "ALERT_WEBHOOK",
        "",
        "Whole https URL that gets alarms; it is never shown or logged.",
    ),
    Setting(
        "ALERT_FORMAT",
        "cloudevents",
        "What alarms look like: `cloudevents`, `teams` (card for a Teams workflow) or `slack` (incoming webhook).",
    ),
    Setting("ALERT_WEBHOOK_SECRET", "", "Standard Webhooks secret (`whsec_…`) of your choice that signs alarms."),
    Setting("TURN_LEASE_SECONDS", "60", "How long a mailbox turn lasts without renewal."),
    Setting(
        "TURN_KEY",
        "mailbox",
        "Who takes turns: connections of one `mailbox`, or (`app`) all new connections of one app registration.",
    ),
    Setting("SEND_LOOK_SECONDS", "30", "First look after an unknown answer to a send."),
    Setting("SEND_LOOK_GAP_SECONDS", "60", "Least time between the two looks that must both see the draft."),
    Setting("SEND_QUIET_SECONDS", "300", "Quiet time after an unknown send before the draft may be sent again."),
    Setting(
        "CONFIRM_SECONDS", "60", "First look for the sent copy and for reports of a mail; later ones grow to 15 ×."
    ),
    Setting("CONSENT_RECHECK_SECONDS", "5", "First re-check of roles that have not appeared yet; later ones grow."),
    Setting("VERIFY_SECONDS", "21600", "How often an active grant is verified again."),
    Setting("SWEEP_SECONDS", "86400", "How often a folder is listed as a whole for mail that Graph's delta lost."),
    Setting("DELIVERY_RETRY_SECONDS", "5", "First retry of a delivery; later ones grow to 15 minutes."),
)


class SettingsError(ValueError):
    """The environment is not usable; the text names every problem and no value."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, checked. Periods are in seconds."""

    mail_storage: str = field(repr=False)
    mail_storage_account: str
    key_vault_url: str
    public_base_url: str
    admin_auth: str
    admin_tenant: str
    tick_schedule: str
    delivery_allow: tuple[tuple[str, int], ...]
    delivery_proxy: str = field(repr=False)
    alert_webhook: str = field(repr=False)
    alert_format: str
    alert_webhook_secret: str = field(repr=False)
    turn_lease_seconds: float
    turn_key: str
    send_look_seconds: float
    send_look_gap_seconds: float
    send_quiet_seconds: float
    confirm_seconds: float
    consent_recheck_seconds: float
    verify_seconds: float
    sweep_seconds: float
    delivery_retry_seconds: float

    @property
    def redirect_uri(self) -> str:
        """The one redirect URI that every Microsoft leg returns to."""
        return f"{self.public_base_url}/api/consent/callback"

    @property
    def secure_cookies(self) -> bool:
        """Whether cookies can be Secure: everywhere but on plain-http loopback."""
        return self.public_base_url.startswith("https://")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read and check the settings; raises `SettingsError` that names all problems together."""
        reader = _Reader(environment)
        settings = cls(
            mail_storage=environment.get("MAIL_STORAGE", ""),
            mail_storage_account=environment.get("MAIL_STORAGE__accountName", ""),
            key_vault_url=reader.text("KEY_VAULT_URL").rstrip("/"),
            public_base_url=_public_base_url(environment),
            admin_auth=reader.text("ADMIN_AUTH"),
            admin_tenant=reader.text("ADMIN_TENANT").lower(),
            tick_schedule=reader.text("TICK_SCHEDULE"),
            delivery_allow=reader.convert("DELIVERY_ALLOW", _host_ports),
            delivery_proxy=reader.convert("DELIVERY_PROXY", _proxy),
            alert_webhook=reader.text("ALERT_WEBHOOK"),
            alert_format=reader.convert("ALERT_FORMAT", _one_of("cloudevents", "teams", "slack")),
            alert_webhook_secret=reader.convert("ALERT_WEBHOOK_SECRET", _signing_secret),
            turn_lease_seconds=reader.convert("TURN_LEASE_SECONDS", _positive),
            turn_key=reader.convert("TURN_KEY", _one_of("mailbox", "app")),
            send_look_seconds=reader.convert("SEND_LOOK_SECONDS", _positive),
            send_look_gap_seconds=reader.convert("SEND_LOOK_GAP_SECONDS", _positive),
            send_quiet_seconds=reader.convert("SEND_QUIET_SECONDS", _positive),
            confirm_seconds=reader.convert("CONFIRM_SECONDS", _positive),
            consent_recheck_seconds=reader.convert("CONSENT_RECHECK_SECONDS", _positive),
            verify_seconds=reader.convert("VERIFY_SECONDS", _positive),
            sweep_seconds=reader.convert("SWEEP_SECONDS", _positive),
            delivery_retry_seconds=reader.convert("DELIVERY_RETRY_SECONDS", _positive),
        )
        problems = [*reader.problems, *settings._problems()]
        if problems:
            raise SettingsError("; ".join(problems))
        return settings

    def _problems(self) -> list[str]:
        problems = []
        if not self.mail_storage and not self.mail_storage_account:
            problems.append("MAIL_STORAGE is missing: give a connection string, or MAIL_STORAGE__accountName")
        if self.key_vault_url and not self.key_vault_url.startswith("https://"):
            problems.append("KEY_VAULT_URL must begin with https://")
        parts = urlsplit(self.public_base_url)
        if not parts.hostname:
            problems.append("PUBLIC_BASE_URL is missing and WEBSITE_HOSTNAME gives no default")
        elif parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
            problems.append("PUBLIC_BASE_URL must begin with https:// (http:// only for 127.0.0.1 and localhost)")
        elif parts.path or parts.query:
            problems.append("PUBLIC_BASE_URL must be scheme and host alone, without a path")
        if self.admin_auth not in ("key", "easyauth"):
            problems.append("ADMIN_AUTH must be key or easyauth")
        elif self.admin_auth == "easyauth" and not _GUID.fullmatch(self.admin_tenant):
            problems.append(
                "ADMIN_TENANT must be the id (a GUID) of the administrators' tenant with ADMIN_AUTH=easyauth"
            )
        if self.alert_webhook and not self._may_be_alerted():
            problems.append(
                "ALERT_WEBHOOK must be a whole https:// URL on port 443 without user name, or be in DELIVERY_ALLOW"
            )
        return problems

    def _may_be_alerted(self) -> bool:
        """Whether the address of alarms can be called: https on port 443, or what DELIVERY_ALLOW names."""
        try:
            parts = urlsplit(self.alert_webhook)
            host, port = parts.hostname or "", parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
        except ValueError:
            return False
        listed = parts.scheme in ("https", "http") and (host, port) in self.delivery_allow
        return bool(host) and "@" not in parts.netloc and (listed or (parts.scheme == "https" and port == 443))


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._known = {setting.name: setting for setting in SETTINGS}
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        setting = self._known[name]
        value = self._environment.get(name) or setting.default
        if value is None:
            self.problems.append(f"{name} is missing")
            return ""
        return value

    def convert(self, name: str, convert: Callable[[str], Any]) -> Any:
        try:
            return convert(self.text(name))
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            return convert(self._known[name].default or "")


def _public_base_url(environment: Mapping[str, str]) -> str:
    hostname = environment.get("WEBSITE_HOSTNAME", "")
    fallback = f"https://{hostname}" if hostname else ""
    return (environment.get("PUBLIC_BASE_URL") or fallback).rstrip("/")


def _one_of(*words: str) -> Callable[[str], str]:
    def chosen(text: str) -> str:
        if text not in words:
            message = f"must be {', '.join(words[:-1])} or {words[-1]}"
            raise ValueError(message)
        return text

    return chosen


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        message = "must be a number of seconds above 0"
        raise ValueError(message)
    return number


def _signing_secret(text: str) -> str:
    try:
        known = not text or (text.startswith("whsec_") and len(b64decode(text[6:], validate=True)) >= 24)
    except ValueError:
        known = False
    if not known:
        message = "must be whsec_ and the base64 of at least 24 bytes"
        raise ValueError(message)
    return text


def _proxy(text: str) -> str:
    parts = urlsplit(text)
    try:
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.path in ("", "/")
    except ValueError:
        whole = False
    if text and not whole:
        message = "must be http://host:port or https://host:port"
        raise ValueError(message)
    return text


def _host_ports(text: str) -> tuple[tuple[str, int], ...]:
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = item.rpartition(":")
        if not host or not port.isdigit():
            message = "must be a comma-separated list of host:port"
            raise ValueError(message)
        pairs.append((host.lower(), int(port)))
    return tuple(pairs)
