"""What a deployment needs stands in several places that must agree: code, README, sample settings, local cloud."""

import json
import re
from pathlib import Path

from infra.check import FOLDER
from infra.project import BY_IDENTITY, check_identity_only, settings_of
from infra.syntax import BicepFile, literal
from localcloud.environment import CONTAINERS, TABLES, WORK_QUEUES
from shared.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[2]
# What the sample file also holds for the host's sake; the app does not read these.
OF_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "PYTHON_THREADPOOL_THREAD_COUNT"}


def table_row(setting: Setting) -> str:
    """Return the README's table row for *setting*."""
    default = "required" if setting.required else f"`{setting.default}`" if setting.default else "empty"
    return f"| `{setting.name}` | {default} | {setting.description} |"


def test_readme_table_is_the_settings() -> None:
    """The README's table has exactly one row per setting, in the code's order, with its default and description."""
    rows = re.findall(r"^\| `[A-Z][A-Za-z_]+` \| .*\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert "\n".join(map(table_row, SETTINGS)) == "\n".join(rows)


def test_sample_file_names_every_setting() -> None:
    """local.settings.sample.json has every setting and nothing else but the host's own."""
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]

    assert {setting.name for setting in SETTINGS} == set(values) - OF_THE_HOST


def test_sample_file_shows_the_defaults() -> None:
    """Where a setting has a default, the sample file shows that default."""
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    defaults = {setting.name: setting.default for setting in SETTINGS if setting.default}

    assert defaults == {name: values.get(name) for name in defaults}


def test_readme_names_the_storage_that_the_local_cloud_makes() -> None:
    """The queues, tables and containers that the README asks for are those that every local run begins with."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if re.match(r" +- (queues|tables|containers) `", line)]
    found = [tuple(re.findall(r"`([a-z-]+)`", line.partition(", each with")[0])) for line in lines]

    assert [WORK_QUEUES, TABLES, CONTAINERS] == found


def bicep_settings() -> dict[str, str | None]:
    """Return the app settings that Bicep writes, with their values where these are plain texts."""
    found = settings_of(BicepFile.read(FOLDER / "modules" / "app.bicep", FOLDER))
    return {name: literal(node) for name, node in found.items()}


def test_bicep_writes_every_setting() -> None:
    """The deployed app gets every setting that it reads; the two of storage in the words for an identity."""
    expected = set().union(*(BY_IDENTITY.get(setting.name, {setting.name}) for setting in SETTINGS))

    assert set() == expected - set(bicep_settings())


def test_bicep_and_sample_file_agree() -> None:
    """Each plain value that Bicep writes is that of the sample file, where that has the setting too."""
    values = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    plain = {name: value for name, value in bicep_settings().items() if value is not None and name in values}

    assert len(plain) > 8
    assert plain == {name: values[name] for name in plain}


def test_parameter_file_offers_the_settings_by_their_own_names() -> None:
    """An operator gives a setting to Bicep by the name it has in the README."""
    text = (FOLDER / "main.bicepparam").read_text(encoding="utf-8")
    asked = set(re.findall(r"readEnvironmentVariable\('([A-Z_]+)'", text))
    fixed = {name for name, value in bicep_settings().items() if value is not None}
    of_bicep = {"AzureWebJobsStorage", "MAIL_STORAGE", "KEY_VAULT_URL"}

    assert set() == {setting.name for setting in SETTINGS} - fixed - of_bicep - asked


def test_the_deployed_app_holds_no_key() -> None:
    """No file of the infrastructure holds or fetches a key or a connection string, and no setting is one."""
    files = [FOLDER / "main.bicep", FOLDER / "main.bicepparam", *(FOLDER / "modules").glob("*.bicep")]
    by_name = {name for name in bicep_settings() if re.search("KEY$|SECRET|PASSWORD|CONNECTION|SAS", name)}

    assert [] == check_identity_only([BicepFile.read(file, FOLDER) for file in files])
    # The first is an address to which only identities may write; the others name the vault, or no secret at all.
    assert {"APPLICATIONINSIGHTS_CONNECTION_STRING", "ALERT_WEBHOOK_SECRET", "TURN_KEY"} == by_name


def test_secrets_reach_the_app_through_the_vault() -> None:
    """The two settings that a person may mean as secrets are references to the vault."""
    source = (FOLDER / "modules" / "app.bicep").read_text(encoding="utf-8")
    written = re.findall(r"^  (ALERT_WEBHOOK\w*):[^:]*?(@Microsoft.KeyVault)\(SecretUri=", source, re.MULTILINE)

    assert [("ALERT_WEBHOOK", "@Microsoft.KeyVault"), ("ALERT_WEBHOOK_SECRET", "@Microsoft.KeyVault")] == written
