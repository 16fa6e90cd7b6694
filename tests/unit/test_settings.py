"""Which environments are usable, and what is said of those that are not."""

import pytest

from shared.settings import SETTINGS, Settings, SettingsError

GOOD = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "MAIL_STORAGE": "AccountName=x;AccountKey=TOPSECRET",
    "KEY_VAULT_URL": "https://vault.vault.azure.net/",
    "PUBLIC_BASE_URL": "https://mail.contoso.example/",
}


def problems(environment: dict[str, str]) -> list[str]:
    """Return what is wrong with an environment."""
    with pytest.raises(SettingsError) as refused:
        Settings.from_environment(environment)
    return str(refused.value).split("; ")


def test_a_minimal_environment_is_enough() -> None:
    """Required settings alone give every period its documented default."""
    settings = Settings.from_environment(GOOD)
    defaults = {setting.name.lower(): setting.default for setting in SETTINGS if setting.name.endswith("_SECONDS")}

    assert defaults == {name: f"{getattr(settings, name):g}" for name in defaults}
    assert "https://vault.vault.azure.net" == settings.key_vault_url
    assert "https://mail.contoso.example/api/consent/callback" == settings.redirect_uri
    assert settings.secure_cookies


def test_all_problems_are_named_together() -> None:
    """One start tells everything that must be mended."""
    found = problems(
        {"ADMIN_AUTH": "none", "VERIFY_SECONDS": "soon", "DELIVERY_ALLOW": "host", "SEND_LOOK_SECONDS": "0"}
    )

    named = [
        "KEY_VAULT_URL",
        "DELIVERY_ALLOW",
        "SEND_LOOK_SECONDS",
        "VERIFY_SECONDS",
        "MAIL_STORAGE",
        "PUBLIC_BASE_URL",
    ]
    assert [*named, "ADMIN_AUTH"] == [problem.split()[0] for problem in found]


def test_values_are_never_shown() -> None:
    """A setting may be a secret that was put into the wrong place."""
    environment = {setting.name: "hunter2-secret" for setting in SETTINGS}

    assert "hunter2" not in "; ".join(problems(environment))


@pytest.mark.parametrize(
    ("proxy", "good"),
    [
        ("", True),
        ("http://proxy.internal:3128", True),
        ("https://user:secret@proxy.internal", True),
        ("proxy.internal:3128", False),
        ("socks5://proxy.internal:1080", False),
        ("http://proxy.internal:99999", False),
        ("http://proxy.internal/path", False),
        ("http://", False),
    ],
)
def test_a_proxy_is_a_url_of_http(proxy: str, good: bool) -> None:
    """What could not be used is refused at start, and not at the first delivery."""
    environment = {**GOOD, "DELIVERY_PROXY": proxy}

    if good:
        assert proxy == Settings.from_environment(environment).delivery_proxy
    else:
        assert ["DELIVERY_PROXY must be http://host:port or https://host:port"] == problems(environment)


def test_an_account_name_replaces_the_connection_string() -> None:
    """With the app's identity there is no secret in the environment."""
    environment = {name: value for name, value in GOOD.items() if name != "MAIL_STORAGE"}
    settings = Settings.from_environment({**environment, "MAIL_STORAGE__accountName": "contosomail"})

    assert ("", "contosomail") == (settings.mail_storage, settings.mail_storage_account)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://mail.contoso.example", True),
        ("http://127.0.0.1:7071", True),
        ("http://localhost:7071", True),
        ("http://mail.contoso.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://mail.contoso.example/app", False),
        ("https://mail.contoso.example?x=1", False),
        ("mail.contoso.example", False),
        ("ftp://mail.contoso.example", False),
    ],
)
def test_the_public_url_is_safe(url: str, fine: bool) -> None:
    """It is https without a path, and http for this machine alone."""
    environment = {**GOOD, "PUBLIC_BASE_URL": url}

    if fine:
        assert url == Settings.from_environment(environment).public_base_url
    else:
        assert ["PUBLIC_BASE_URL"] == [problem.split()[0] for problem in problems(environment)]


def test_the_platform_gives_the_public_url() -> None:
    """Without PUBLIC_BASE_URL it is the host name that the platform sets."""
    environment = {name: value for name, value in GOOD.items() if name != "PUBLIC_BASE_URL"}
    settings = Settings.from_environment({**environment, "WEBSITE_HOSTNAME": "contoso.azurewebsites.net"})

    assert "https://contoso.azurewebsites.net" == settings.public_base_url


def test_cookies_are_secure_but_on_this_machine() -> None:
    """A browser drops Secure cookies of a plain-http page."""
    local = Settings.from_environment({**GOOD, "PUBLIC_BASE_URL": "http://127.0.0.1:7071"})

    assert not local.secure_cookies


def test_what_webhooks_may_reach_is_a_list_of_pairs() -> None:
    """Host and port, IPv6 hosts and spaces too; a port that is none is refused."""
    settings = Settings.from_environment({**GOOD, "DELIVERY_ALLOW": "127.0.0.1:8080, Intra.Example:443,[::1]:80"})

    assert (("127.0.0.1", 8080), ("intra.example", 443), ("[::1]", 80)) == settings.delivery_allow
    assert ["DELIVERY_ALLOW"] == [problem.split()[0] for problem in problems({**GOOD, "DELIVERY_ALLOW": "a:b"})]


@pytest.mark.parametrize("value", ["-1", "0", "inf", "nan", "x"])
def test_a_period_is_a_number_of_seconds(value: str) -> None:
    """Whatever could not be waited for is refused."""
    assert ["TURN_LEASE_SECONDS must be a number of seconds above 0"] == problems({**GOOD, "TURN_LEASE_SECONDS": value})


def test_secrets_do_not_show_in_the_settings_text() -> None:
    """A traceback that prints the settings gives nothing away."""
    assert "TOPSECRET" not in repr(Settings.from_environment(GOOD))


@pytest.mark.parametrize(
    ("url", "allow", "fine"),
    [
        ("", "", True),
        ("https://pager.example/services/T0/B1", "", True),
        ("https://pager.example:443/x", "", True),
        ("https://pager.example:8443/x", "", False),
        ("https://pager.example:8443/x", "pager.example:8443", True),
        ("http://127.0.0.1:9000/x", "127.0.0.1:9000", True),
        ("http://pager.example/x", "", False),
        ("https://user:word@pager.example/x", "", False),
        ("https://pager.example:port/x", "", False),
        ("pager.example", "", False),
    ],
)
def test_alarms_go_where_webhooks_may_go(url: str, allow: str, fine: bool) -> None:
    """What could never be called is refused at start, and never shown: the address is a secret."""
    environment = {**GOOD, "ALERT_WEBHOOK": url, "DELIVERY_ALLOW": allow}

    if fine:
        settings = Settings.from_environment(environment)
        assert (url, False) == (settings.alert_webhook, bool(url) and url in repr(settings))
    else:
        (problem,) = problems(environment)
        assert ("ALERT_WEBHOOK", False) == (problem.split()[0], url in problem)


@pytest.mark.parametrize(
    ("secret", "fine"),
    [("", True), ("whsec_" + "QUJD" * 8, True), ("whsec_QUJD", False), ("QUJD" * 8, False), ("whsec_%%%", False)],
)
def test_the_secret_of_alarms_has_the_standards_form(secret: str, fine: bool) -> None:
    """A secret that receivers' libraries would refuse is refused at start."""
    environment = {**GOOD, "ALERT_WEBHOOK_SECRET": secret}

    if fine:
        assert secret == Settings.from_environment(environment).alert_webhook_secret
    else:
        assert ["ALERT_WEBHOOK_SECRET"] == [problem.split()[0] for problem in problems(environment)]
