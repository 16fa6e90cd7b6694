"""What stands beside the Bicep files: azure.yaml, the workflow, the workbook, and what the app's identity may do."""

import json
import re

from infra.check import FOLDER
from infra.project import ROLES
from infra.syntax import BicepFile, literal, properties
from shared.settings import SETTINGS

ROOT = FOLDER.parent


def test_azd_finds_the_app_by_its_tag() -> None:
    """The service in azure.yaml bears the name that the app's tag has in Bicep, and azd looks into infra/main."""
    text = (ROOT / "azure.yaml").read_text(encoding="utf-8")
    tag = re.search(r"'azd-service-name': '(\w+)'", (FOLDER / "modules/app.bicep").read_text(encoding="utf-8"))

    assert tag
    assert [tag[1]] == re.findall(r"^  (\w+):$", text.partition("services:")[2], re.MULTILINE)
    assert {"path": "infra", "module": "main"} == dict(re.findall(r"^  (path|module): (\S+)$", text, re.MULTILINE))


def test_actions_of_workflows_are_pinned_by_commit() -> None:
    """Every action that a workflow uses is named by a whole commit, with its version beside it."""
    files = (ROOT / ".github" / "workflows").glob("*.yml")
    used = [line.strip() for file in files for line in file.read_text(encoding="utf-8").splitlines() if "uses:" in line]

    assert used
    assert [] == [line for line in used if not re.fullmatch(r"- uses: [\w./-]+@[0-9a-f]{40} # v[\d.]+", line)]


def test_the_workbook_is_whole() -> None:
    """Each query of the workbook goes to the workspace whose id Bicep puts in."""
    workbook = json.loads((FOLDER / "workbook.json").read_text(encoding="utf-8"))
    queries = [item["content"] for item in workbook["items"] if item["type"] == 3]

    assert len(queries) > 3
    assert [["<workspace>"]] * len(queries) == [query["crossComponentResources"] for query in queries]


def test_the_identity_may_do_no_more_than_it_must() -> None:
    """Its roles are these; over secrets it has the four actions that the product's vault port needs."""
    roles = BicepFile.read(FOLDER / "modules" / "roles.bicep", FOLDER)
    mapped = roles.value("builtInRoles")

    assert mapped is not None
    assert ROLES == {name: literal(node) for name, node in properties(mapped)}
    assert ["getSecret/action", "setSecret/action", "readMetadata/action", "delete"] == re.findall(
        r"'Microsoft\.KeyVault/vaults/secrets/([\w/]+)'", roles.source
    )


def test_python_older_than_the_worker_needs_is_refused() -> None:
    """Nothing below Python 3.13 can be chosen: main.bicep and the app's module allow the same versions."""
    files = [BicepFile.read(FOLDER / name, FOLDER) for name in ("main.bicep", "modules/app.bicep")]
    allowed = [re.search(r"@allowed\(\[([^]]+)\]\)\nparam pythonVersion", file.source) for file in files]
    versions = [re.findall(r"'3\.(\d+)'", found[1]) for found in allowed if found]

    assert len(versions) == 2
    assert versions[0] == versions[1]
    assert min(map(int, versions[0])) >= 13


def test_the_deploy_section_names_what_there_is() -> None:
    """Each name in capitals in the README's section is a choice, a setting, an output, or made by a command there."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Deploy\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", section))
    choices = re.findall(r"readEnvironmentVariable\('(\w+)'", (FOLDER / "main.bicepparam").read_text(encoding="utf-8"))
    outputs = re.findall(r"^output (\w+) ", (FOLDER / "main.bicep").read_text(encoding="utf-8"), re.MULTILINE)
    made = re.findall(r"^ +(\w+)=[$\"]", section, re.MULTILINE)

    assert len(told) > 12
    assert set() == told - {*choices, *outputs, *made} - {setting.name for setting in SETTINGS}


def test_easy_auth_without_a_registration_is_refused() -> None:
    """The module that turns it on takes whole ids only, so Azure refuses the deployment before it makes anything."""
    module = BicepFile.read(FOLDER / "modules" / "sign_in.bicep", FOLDER)
    ids = re.findall(r"@minLength\(36\)\n@maxLength\(36\)\nparam (\w+) string", module.source)
    main = (FOLDER / "main.bicep").read_text(encoding="utf-8")

    assert ["adminTenant", "adminClientId"] == ids
    assert "modules/sign_in.bicep' = if (adminAuth == 'easyauth')" in main
