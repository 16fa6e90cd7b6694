"""Whether the infrastructure fits this product: its roles, its settings, its queues, and no key anywhere."""

import re
from pathlib import Path

from tree_sitter import Node

from infra.resources import resources, strings_in
from infra.syntax import BicepFile, Fault, body_of, literal, named, properties, text
from localcloud.environment import CONTAINERS, TABLES, WORK_QUEUES
from shared.settings import SETTINGS

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
# The host takes these by its identity: an account's name, how to sign in, and as whom.
BY_IDENTITY = {
    name: {f"{name}__accountName", f"{name}__credential", f"{name}__clientId"}
    for name in ("AzureWebJobsStorage", "MAIL_STORAGE")
}
# What the host, the worker and Azure's libraries read. Without the one of instrumentations, addresses of requests,
# with mailboxes in them, would go into telemetry on the day on which somebody adds the distribution below. Without
# those of the sampler, lines of the log are lost beyond five runs a second.
ALWAYS = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
# The worker's own export. Where these are set and the package is not there, each start logs two exceptions.
DISTRIBUTION = "azure-monitor-opentelemetry"
OF_DISTRIBUTION = {"PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "PYTHON_APPLICATIONINSIGHTS_LOGGER_NAME"}
ROOT = Path(__file__).parents[1]
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRET = re.compile(
    r"AccountKey=|SharedAccessKey|SharedAccessSignature|DefaultEndpointsProtocol|[?&]sig=|StorageAccountConnectionString",
    re.IGNORECASE,
)
_SECRET_CALL = re.compile(r"(^|\.)(listKeys|listAccountSas|listServiceSas|listCredentials|getSecret|list[A-Z]\w*)$")
_LOCKED = {
    ("Microsoft.Storage/storageAccounts", "allowSharedKeyAccess"): "false",
    ("Microsoft.Storage/storageAccounts", "allowBlobPublicAccess"): "false",
    ("Microsoft.KeyVault/vaults", "enableRbacAuthorization"): "true",
    ("Microsoft.KeyVault/vaults", "enableSoftDelete"): "true",
    ("Microsoft.Insights/components", "DisableLocalAuth"): "true",
    ("Microsoft.Web/sites", "httpsOnly"): "true",
}


def check_roles(files: list[BicepFile]) -> list[Fault]:
    """Return role ids that are not Azure's own for their name, ids outside the map, and roles that can purge."""
    faults = []
    for file in files:
        value = file.value("builtInRoles")
        mapped = dict(properties(value)) if value is not None else {}
        inside = {node.start_byte for node in mapped.values()}
        for name, node in mapped.items():
            if ROLES.get(name or "") != literal(node):
                faults.append(file.fault(node, f"{literal(node)} is not the id of the role {name}"))
        for node in strings_in(file):
            said = literal(node) or ""
            if _GUID.fullmatch(said) and node.start_byte not in inside:
                faults.append(file.fault(node, f"the id {said} must stand in the map of roles"))
            if "Microsoft.KeyVault/" in said and re.search(r"purge|\*", said):
                faults.append(file.fault(node, f"{said} would let the app purge"))
        missing = [node for node in _role_names(file) if mapped and literal(node) not in mapped]
        faults += [file.fault(node, f"the role {literal(node)} has no id in the map") for node in missing]
    return faults


def _role_names(file: BicepFile) -> list[Node]:
    listed = file.value("storageRoles")
    indexed = [
        node.named_children[1]
        for node in file.nodes
        if node.type == "subscript_expression" and text(node.named_children[0]) == "builtInRoles"
    ]
    return [node for node in [*(named(listed) if listed is not None else []), *indexed] if node.type == "string"]


def settings_of(file: BicepFile) -> dict[str, Node]:
    """Return the app settings that always stand there, by name."""
    value = file.value("settings")
    return {name: node for name, node in properties(value) if name} if value is not None else {}


def check_settings(file: BicepFile) -> list[Fault]:
    """Return settings that the app would miss, does not know, or finds with another default than the code's."""
    given = settings_of(file)
    wanted = set().union(*(BY_IDENTITY.get(setting.name, {setting.name}) for setting in SETTINGS)) | ALWAYS
    if DISTRIBUTION in (ROOT / "requirements.in").read_text(encoding="utf-8").split():
        wanted |= OF_DISTRIBUTION
    faults = [file.fault(file.tree, f"app setting {name} is missing") for name in sorted(wanted - set(given))]
    unknown = sorted(set(given) - wanted)
    faults += [file.fault(given[name], f"app setting {name} is known to nobody") for name in unknown]
    defaults = {setting.name: setting.default for setting in SETTINGS}
    for name, node in given.items():
        value = literal(node)
        if name in defaults and value is not None and value != defaults[name]:
            faults.append(
                file.fault(node, f"app setting {name} is {value!r}, the code's default is {defaults[name]!r}")
            )
    return faults


def check_defaults(main: BicepFile, app: BicepFile) -> list[Fault]:
    """Return parameters whose default differs from that of the setting which they become."""
    defaults, faults = {setting.name: setting.default for setting in SETTINGS}, []
    parameters = main.declared("parameter_declaration")
    for name, node in settings_of(app).items():
        declared = parameters.get(text(node))
        parts = named(declared) if declared is not None else []
        if name in defaults and len(parts) > 2 and literal(parts[2]) != defaults[name]:
            faults.append(
                main.fault(parts[2], f"the default of {text(node)} is not that of {name}: {defaults[name]!r}")
            )
    return faults


def check_storage(file: BicepFile) -> list[Fault]:
    """Return where queues, containers and tables are not those that the product uses."""
    wanted = {"containers": CONTAINERS, "workQueues": WORK_QUEUES, "tables": TABLES}
    faults = []
    for name, expected in wanted.items():
        value = file.value(name)
        found = tuple(literal(item) for item in named(value)) if value is not None else ()
        if found != expected:
            faults.append(file.fault(value or file.tree, f"{name} must be {list(expected)}"))
    poison = file.value("poisonQueues")
    if poison is None or "'${queue}-poison'" not in text(poison) or "in workQueues" not in text(poison):
        faults.append(file.fault(poison or file.tree, "each queue needs a -poison twin"))
    loops = " ".join(text(node).split("{")[0] for _, node in resources(file))
    needed = ("union(containers, [packages])", "union(workQueues, poisonQueues, destinationQueues)", "in tables")
    return faults + [file.fault(file.tree, f"nothing is made of {part}") for part in needed if part not in loops]


def check_identity_only(files: list[BicepFile]) -> list[Fault]:
    """Return keys and connection strings, calls that fetch some, and doors that would accept them."""
    faults = []
    for file in files:
        for node in file.nodes:
            if node.type == "string" and _SECRET.search(text(node)):
                faults.append(file.fault(node, "a key or a connection string stands here"))
            if node.type == "call_expression" and _SECRET_CALL.search(text(named(node)[0])):
                faults.append(file.fault(node, f"{text(named(node)[0])} fetches a key"))
        for kind, node in resources(file):
            body = body_of(node)
            inner = next((value for key, value in properties(body) if key == "properties"), None) if body else None
            values = dict(properties(inner)) if inner is not None and inner.type == "object" else {}
            for (locked, name), wanted in _LOCKED.items():
                if kind == locked and (name not in values or text(values[name]) != wanted):
                    faults.append(file.fault(node, f"{kind}.{name} must be {wanted}"))
    return faults
