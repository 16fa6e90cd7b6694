"""The app proves itself by secret, certificate or managed identity, and what expired or was mistyped is replaced."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.administrator import RefusedError, wait_until
from localcloud.story import Organisation, Story, letter
from tests.scenes import certificates

pytestmark = pytest.mark.enable_socket

AUDIENCE = "api://AzureADTokenExchange"


def _pasted(story: Story, organisation: Organisation) -> tuple[str, str]:
    """Make a certificate, upload it to the registration, and return it with its key, and its PFX without passphrase."""
    key = certificates.rsa_key()
    made = certificates.certificate(key, datetime.now(UTC) - timedelta(days=1), days=20)
    pem = certificates.certificate_pem(made)
    story.stack.control.add_certificate(organisation.client_id, pem)
    return pem + certificates.key_pem(key), certificates.pfx(key, made, "pfx-passphrase")


def _trusted_identity(story: Story, organisation: Organisation) -> str:
    """Create a managed identity that the registration trusts; return its client id."""
    control = story.stack.control
    identity = control.add_identity(organisation.domain, f"mailgrant-{organisation.domain}")
    issuer = f"https://login.microsoftonline.com/{organisation.tenant}/v2.0"
    subject = {"issuer": issuer, "subject": identity["principal_id"], "audience": AUDIENCE}
    control.change_registration(organisation.client_id, federated_subjects=[subject])
    return str(identity["client_id"])


def _forget_secrets(story: Story, organisation: Organisation) -> None:
    """Remove every secret of the registration, so that only another proof can work."""
    app = next(a for a in story.stack.control.registrations() if a["client_id"] == organisation.client_id)
    for secret_id in app["secrets"]:
        story.stack.control.remove_secret(organisation.client_id, secret_id)


def _create(story: Story, domain: str, method: str) -> Organisation:
    """Return an organisation whose credential was created with *method* from the start."""
    organisation = story.found(domain, method.capitalize())
    redirect_uri = story.stack.admin.get("system")["redirect_uri"]
    control = story.stack.control
    app = control.add_registration(organisation.tenant, "Mailgrant", [redirect_uri], multitenant=False)
    organisation.client_id = app["client_id"]
    proof: dict[str, Any] = {"client_secret": app["secret"]["value"]}
    if method == "certificate":
        proof = {"certificate": _pasted(story, organisation)[1], "certificate_passphrase": "pfx-passphrase"}
    elif method == "federated":
        proof = {"managed_identity_client_id": _trusted_identity(story, organisation)}
    if method != "secret":
        _forget_secrets(story, organisation)
    body = {"name": method, "client_id": app["client_id"], "grant_type": "admin_consent", "auth_method": method}
    body |= {"cloud": "global", "tenant": organisation.tenant}
    organisation.credential = story.stack.admin.post("credentials", body | proof)
    return organisation


def _mail_flows(story: Story, organisation: Organisation, prefix: str) -> None:
    """Prove that mail comes in and goes out."""
    box, bob = organisation.address("box"), organisation.address("bob")
    story.fill(box, 2)
    connection = story.connect_incoming(organisation, "box")
    _, token = story.connect_outgoing(organisation, "ann", send_rate=0)
    assert 202 == story.post_message(token, letter(1, bob, prefix)).status_code

    def received() -> int:
        return len(story.stack.admin.get(f"connections/{connection['id']}/received")["data"])

    wait_until("2 mails are received", lambda: received() == 2)
    wait_until("the mail arrives once", lambda: story.copies(prefix) == {f"{prefix} 1 → {bob}": 1})


@pytest.mark.parametrize(("method", "expiry"), [("secret", "unknown"), ("certificate", "soon"), ("federated", "ok")])
def test_every_method_carries_mail(story: Story, method: str, expiry: str) -> None:
    """From a credential of each kind to consent, a verified grant, mail in and mail out; its expiry is shown."""
    organisation = _create(story, f"{method}.example", method)
    story.accept(organisation)
    story.await_status(organisation, "active")

    shown = story.stack.admin.get(f"credentials/{organisation.credential['id']}")
    assert (method, expiry) == (shown["auth_method"], shown["expiry"])
    _mail_flows(story, organisation, f"{method} mail")


def test_the_method_is_switched_in_place(story: Story, consented: Organisation) -> None:
    """Secret to certificate to managed identity and back, each proven first, with the same grant all along."""
    admin, path = story.stack.admin, f"credentials/{consented.credential['id']}"
    pem, _ = _pasted(story, consented)
    identity = _trusted_identity(story, consented)
    first = admin.patch(path, {"auth_method": "certificate", "certificate": pem})
    _forget_secrets(story, consented)
    second = admin.patch(path, {"auth_method": "federated", "managed_identity_client_id": identity})
    verified = admin.post(f"grants/{consented.grant['id']}/verify")
    secret = story.stack.control.add_secret(consented.client_id)["value"]
    third = admin.post(f"{path}/secret", {"auth_method": "secret", "client_secret": secret})

    assert ["certificate", "federated", "secret"] == [item["auth_method"] for item in (first, second, third)]
    assert (identity, "active", True) == (second["managed_identity_client_id"], verified["status"], third["proven"])
    assert 18 == first["expires_in_days"]


def test_a_proof_that_microsoft_refuses_displaces_nothing(story: Story, consented: Organisation) -> None:
    """A certificate nobody uploaded and an identity nobody trusts are refused in words; the secret goes on working."""
    admin, path = story.stack.admin, f"credentials/{consented.credential['id']}"
    key = certificates.rsa_key()
    made = certificates.certificate(key, datetime.now(UTC) - timedelta(days=1))
    unknown = {"certificate": certificates.certificate_pem(made) + certificates.key_pem(key)}
    stranger = story.stack.control.add_identity(consented.domain, "stranger")["client_id"]
    proofs = [
        {"auth_method": "certificate", **unknown},
        {"auth_method": "federated", "managed_identity_client_id": stranger},
        {"auth_method": "federated", "managed_identity_client_id": "11111111-2222-4333-8444-000000000000"},
        {"auth_method": "secret", "client_secret": "wrong-secret~value"},
    ]
    codes = []
    for proof in proofs:
        with pytest.raises(RefusedError) as caught:
            admin.post(f"{path}/secret", proof)
        codes.append((caught.value.status, caught.value.problem["code"]))

    shown = admin.get(path)
    assert [
        (409, "assertion_refused"),
        (409, "assertion_refused"),
        (409, "identity_unavailable"),
        (409, "secret_wrong"),
    ] == codes
    assert ("secret", False, None) == (shown["auth_method"], shown["unproven_secret"], shown["fault"])
    assert "active" == admin.post(f"grants/{consented.grant['id']}/verify")["status"]


def test_a_secret_id_pasted_at_a_rotation_is_recognised(story: Story, consented: Organisation) -> None:
    """The Secret ID in place of the Value is told before anybody is asked."""
    added = story.stack.control.add_secret(consented.client_id)
    with pytest.raises(RefusedError) as caught:
        story.stack.admin.post(
            f"credentials/{consented.credential['id']}/secret", {"client_secret": added["secret_id"]}
        )

    assert (422, "secret_id_instead_of_value") == (caught.value.status, caught.value.problem["code"])


def test_a_secret_that_expired_on_a_sunday_is_replaced_on_monday(story: Story, consented: Organisation) -> None:
    """While it is expired fetching waits and a send is held; after the rotation both go on by themselves."""
    admin, box, bob = story.stack.admin, consented.address("box"), consented.address("bob")
    prefix = f"{consented.domain} held"
    incoming = story.connect_incoming(consented, "box")
    outgoing, token = story.connect_outgoing(consented, "ann", send_rate=0)
    app = next(a for a in story.stack.control.registrations() if a["client_id"] == consented.client_id)
    for secret_id in app["secrets"]:
        story.stack.control.expire_secret(consented.client_id, secret_id)
    admin.post(f"grants/{consented.grant['id']}/verify")
    story.fill(box, 2)
    entry = story.post_message(token, letter(1, bob, prefix)).json()["id"]
    wait_until(
        "the outgoing connection waits", lambda: admin.get(f"connections/{outgoing['id']}")["status"] == "waiting"
    )
    held = admin.get(f"outbox/{entry}")["status"]

    secret = story.stack.control.add_secret(consented.client_id)["value"]
    rotated = admin.post(f"credentials/{consented.credential['id']}/secret", {"client_secret": secret})

    assert ("queued", True, None) == (held, rotated["proven"], rotated["fault"])
    wait_until(
        "the mail that waited is received",
        lambda: len(admin.get(f"connections/{incoming['id']}/received")["data"]) == 2,
        75,
    )
    wait_until("the held mail arrives once", lambda: story.copies(prefix) == {f"{prefix} 1 → {bob}": 1}, 75)
