"""Where does the local cloud's TLS identity come from: a throw-away authority whose key never leaves memory."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_LIFETIME = timedelta(days=30)


class Certificates(NamedTuple):
    """A server context for the cloud's host names, and the PEM text of the one authority that vouches for it."""

    server: ssl.SSLContext
    authority_pem: bytes

    def write_bundle(self, path: Path) -> None:
        """Write the authority's certificate, usable as ``SSL_CERT_FILE`` and as ``REQUESTS_CA_BUNDLE``."""
        path.write_bytes(self.authority_pem)


def make_certificates(hosts: Iterable[str]) -> Certificates:
    """Return a fresh authority's certificate for *hosts* (wildcards allowed), good for 30 days."""
    authority = trustme.CA(organization_name="Mailgrant local cloud", organization_unit_name="never install this")
    leaf = authority.issue_cert(*hosts, not_after=datetime.now(UTC) + _LIFETIME)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    leaf.configure_cert(context)
    return Certificates(context, authority.cert_pem.bytes())
