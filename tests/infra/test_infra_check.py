"""The offline check finds no fault in the project's Bicep, and each fault that is put into it."""

import shutil
from pathlib import Path

import pytest

from infra.check import FOLDER, check
from infra.resources import resources, schemas
from infra.syntax import BicepFile

MAIN, APP, STORAGE = "main.bicep", "modules/app.bicep", "modules/storage.bicep"
ROLES, VAULT, NETWORK = "modules/roles.bicep", "modules/vault.bicep", "modules/network.bicep"
SIGN_IN = "modules/sign_in.bicep"
ALERTS, BUDGET, MONITORING = "modules/alerts.bicep", "modules/budget.bicep", "modules/monitoring.bicep"
PARAMETERS = "main.bicepparam"

# A file, what stands there, what is put in its place, and what the check must say.
SEEDED = {
    "syntax": (MAIN, "tags: tags }\n}", "tags: tags \n}", "syntax: not understood"),
    "misspelt property": (APP, "httpsOnly: true", "httpOnly: true", "has no property httpOnly"),
    "wrong case": (
        VAULT,
        "enableSoftDelete: true",
        "EnableSoftDelete: true",
        "no property EnableSoftDelete, but enable",
    ),
    "deep misspelt property": (
        APP,
        "perInstanceConcurrency",
        "perInstanceConcurency",
        "no property perInstanceConcurency",
    ),
    "read-only property": (
        MONITORING,
        "retentionInDays",
        "customerId: 'x'\n    retentionInDays",
        "customerId is read-only",
    ),
    "missing property": (VAULT, "    tenantId: tenant().tenantId\n", "", "properties.tenantId is required and missing"),
    "missing in a list": (ALERTS, "name: 'operator', ", "", "emailReceivers[].name is required and missing"),
    "wrong type": (APP, "httpsOnly: true", "httpsOnly: 'true'", "httpsOnly must be bool, not string"),
    "number for a text": (
        MAIN,
        "name: 'rg-${environmentName}'",
        "name: 5",
        "resourceGroups.name must be string, not int",
    ),
    "array for an object": (
        BUDGET,
        "timePeriod: { startDate: start }",
        "timePeriod: [start]",
        "timePeriod must be an object",
    ),
    "object for an array": (NETWORK, "groupIds: [door.group]", "groupIds: {}", "groupIds must be an array"),
    "unknown value": (STORAGE, "'TLS1_2'", "'TLS1_4'", "minimumTlsVersion is 'TLS1_4'"),
    "unknown value in a choice": (STORAGE, "'Allow' : 'Deny'", "'Allow' : 'Refuse'", "defaultAction is 'Refuse'"),
    "unknown variant": (
        SIGN_IN,
        "name: 'authsettingsV2'",
        "name: 'authsettingsV3'",
        "name 'authsettingsV3' is none of",
    ),
    "given twice": (APP, "httpsOnly: true", "httpsOnly: true\n    httpsOnly: true", "httpsOnly is given twice"),
    "old API version": (STORAGE, "storageAccounts@2025-01-01", "storageAccounts@2019-06-01", "schema has 2025-01-01"),
    "unknown resource type": (STORAGE, "/tables@2025", "/tabels@2025", "no schema in infra/schema"),
    "undeclared name": (APP, "serverFarmId: plan.id", "serverFarmId: plann.id", "plann is not declared"),
    "unused parameter": (APP, "alertFormat\n  ALERT", "'cloudevents'\n  ALERT", "alertFormat is never used"),
    "unused variable": (ROLES, "var groupId", "var other = 1\nvar groupId", "other is never used"),
    "parameter without description": (MAIN, "@description('Days for which logs are kept.')\n", "", "no description"),
    "parameter without bounds": (MAIN, "@minValue(40)\n", "", "maximumInstanceCount has no bounds: minValue"),
    "module without a parameter": (MAIN, "    turnKey: turnKey\n", "", "modules/app.bicep is not given turnKey"),
    "module with one too many": (
        MAIN,
        "    turnKey: turnKey\n",
        "    turnKey: turnKey\n    x: 1\n",
        "has no parameter x",
    ),
    "module without a file": (
        MAIN,
        "'modules/budget.bicep'",
        "'modules/budgets.bicep'",
        "budgets.bicep does not exist",
    ),
    "unknown output": (MAIN, "storage.outputs.packagesUrl", "storage.outputs.packageUrl", "has no output packageUrl"),
    "parameter file: unknown": (PARAMETERS, "param turnKey", "param turnKeys", "has no parameter turnKeys"),
    "parameter file: missing": (PARAMETERS, "param location =", "param locations =", "location is not set"),
    "wrong role id": (ROLES, "b7e6dc6d-f1e8", "ba92f5b4-2d11", "is not the id of the role Storage Blob Data Owner"),
    "role without an id": (
        ROLES,
        "  'Storage Table Data Contributor' //",
        "  'Storage Table Contributor' //",
        "no id in the map",
    ),
    "id outside the map": (
        ROLES,
        "subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsWithoutPurge.name)",
        "'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'",
        "must stand in the map",
    ),
    "role that purges": (
        ROLES,
        "secrets/delete'",
        "secrets/delete'\n          'Microsoft.KeyVault/vaults/secrets/purge/action'",
        "let the app purge",
    ),
    "setting missing": (APP, "  KEY_VAULT_URL: vaultUri\n", "  ", "app setting KEY_VAULT_URL is missing"),
    "identity setting missing": (
        APP,
        "  MAIL_STORAGE__clientId: identityClientId\n",
        "",
        "MAIL_STORAGE__clientId is missing",
    ),
    "setting misspelt": (APP, "  SWEEP_SECONDS:", "  SWEEP_SECOND:", "app setting SWEEP_SECOND is known to nobody"),
    "export without its package": (
        APP,
        "  OTEL_TRACES_SAMPLER_ARG: '1.0'\n",
        "  OTEL_TRACES_SAMPLER_ARG: '1.0'\n  PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY: 'true'\n",
        "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY is known to nobody",
    ),
    "thinned logs": (APP, "  OTEL_TRACES_SAMPLER_ARG: '1.0'\n", "", "OTEL_TRACES_SAMPLER_ARG is missing"),
    "other default": (APP, "SWEEP_SECONDS: '86400'", "SWEEP_SECONDS: '3600'", "the code's default is '86400'"),
    "other default of a parameter": (
        MAIN,
        "turnKey string = 'mailbox'",
        "turnKey string = 'app'",
        "not that of TURN_KEY",
    ),
    "queue missing": (STORAGE, "'mail-send', ", "", "workQueues must be"),
    "table missing": (STORAGE, "'counters']", "'counter']", "tables must be"),
    "no poison queues": (
        STORAGE,
        "union(workQueues, poisonQueues, destinationQueues)",
        "workQueues",
        "nothing is made of union(workQueues",
    ),
    "shared keys": (
        STORAGE,
        "allowSharedKeyAccess: false",
        "allowSharedKeyAccess: true",
        "allowSharedKeyAccess must be false",
    ),
    "telemetry by key": (
        MONITORING,
        "DisableLocalAuth: true",
        "DisableLocalAuth: false",
        "DisableLocalAuth must be true",
    ),
    "connection string": (
        APP,
        "MAIL_STORAGE__accountName: storageName",
        "MAIL_STORAGE__accountName: 'AccountKey=abc'",
        "a key or a",
    ),
    "key that is fetched": (
        STORAGE,
        "= account.name",
        "= account.listKeys().keys[0].value",
        "account.listKeys fetches a key",
    ),
}


@pytest.fixture(name="copy")
def _copy(tmp_path: Path) -> Path:
    """Return a copy of the Bicep files, free to be broken."""
    shutil.copytree(FOLDER / "modules", tmp_path / "modules")
    for name in (MAIN, PARAMETERS):
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


def test_the_projects_own_files_have_no_fault() -> None:
    """Nothing is wrong with what is deployed."""
    assert [] == check(FOLDER)


@pytest.mark.parametrize("case", SEEDED)
def test_a_seeded_fault_is_found(case: str, copy: Path) -> None:
    """Each fault that is put into one of the files is told, with the file it stands in."""
    name, before, after, message = SEEDED[case]
    source = (copy / name).read_text(encoding="utf-8")
    assert before in source
    (copy / name).write_text(source.replace(before, after, 1), encoding="utf-8")

    told = [str(fault) for fault in check(copy)]

    assert [line for line in told if message in line and line.startswith(name)], told


def test_every_schema_is_used_and_names_its_source() -> None:
    """infra/schema holds the types of the Bicep files and no others, each with source and licence."""
    files = [BicepFile.read(path, FOLDER) for path in [FOLDER / MAIN, *(FOLDER / "modules").glob("*.bicep")]]

    assert {kind for file in files for kind, _ in resources(file)} == set(schemas())
    assert all(schema["source"].endswith(", MIT, Microsoft") for schema in schemas().values())
