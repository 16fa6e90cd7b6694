"""
Make `infra/schema/` anew from Microsoft's own packages; see infra/README.md for the command that has them.

Most types come from the type library inside `azmcp` (PyPI msmcp-azure). It cannot print a few of them: those come from
the models of Azure's management libraries for Python. Descriptions, functions and whatever only answers hold are left
out. Both packages are MIT-licensed by Microsoft; each file names its source.
"""

import importlib
import importlib.metadata
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "schema"
TYPES = (
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Authorization/roleDefinitions",
    "Microsoft.Consumption/budgets",
    "Microsoft.Insights/components",
    "Microsoft.Insights/workbooks",
    "Microsoft.KeyVault/vaults",
    "Microsoft.KeyVault/vaults/secrets",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/queueServices",
    "Microsoft.Storage/storageAccounts/queueServices/queues",
    "Microsoft.Storage/storageAccounts/tableServices",
    "Microsoft.Storage/storageAccounts/tableServices/tables",
    "Microsoft.Web/serverfarms",
    "Microsoft.Web/sites",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    "Microsoft.Web/sites/config",
)
# Type, API version, distribution, module and class.
MODELS = (
    ("Microsoft.Insights/actionGroups", "2023-01-01", "azure-mgmt-monitor", "monitor", "ActionGroupResource"),
    (
        "Microsoft.Insights/scheduledQueryRules",
        "2023-12-01",
        "azure-mgmt-monitor",
        "monitor",
        "ScheduledQueryRuleResource",
    ),
    ("Microsoft.Network/privateDnsZones", "2024-06-01", "azure-mgmt-privatedns", "privatedns", "PrivateZone"),
    (
        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "2024-06-01",
        "azure-mgmt-privatedns",
        "privatedns",
        "VirtualNetworkLink",
    ),
)
# Of the sites' many configurations, those that the project writes.
VARIANTS = {"appsettings", "authsettingsV2", "ftp", "scm"}
_PLAIN = {"str": "string", "int": "int", "bool": "bool", "float": "any", "duration": "string", "iso-8601": "string"}
_WORD = re.compile(r"[A-Za-z0-9_./-]+")


def specs(properties: list[dict[str, Any]]) -> dict[str, str]:
    """Return type by name, with ! before what is required and - before what only answers hold."""
    found = {}
    for entry in properties:
        flags = entry.get("flags") or ""
        sign = "-" if "ReadOnly" in flags else "!" if "Required" in flags else ""
        found[entry["name"]] = sign + entry["type"]
    return found


def shape(entry: dict[str, Any]) -> dict[str, Any]:
    """Return one type of azmcp in short: properties, or `*` for any name, or variants by a discriminator."""
    if entry["$type"] == "DiscriminatedObject":
        kept = [specs(element["properties"]) for element in entry["elements"]]
        by = entry.get("discriminator") or "name"
        variants = {variant[by].lstrip("!"): variant for variant in kept}
        return {"by": by, "variants": {name: variants[name] for name in sorted(variants)}}
    properties = specs(entry.get("properties") or [])
    if entry.get("additionalPropertiesType"):
        properties["*"] = entry["additionalPropertiesType"]
    return properties


def reachable(body: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    """Return those *types* that a writer of *body* can come to."""
    found: dict[str, Any] = {}
    todo = [body]
    while todo:
        current = todo.pop()
        groups = current["variants"].values() if "variants" in current else [current]
        for spec in (spec for group in groups for spec in group.values() if not spec.startswith("-")):
            for word in _WORD.findall(spec):
                if word in types and word not in found:
                    found[word] = types[word]
                    todo.append(types[word])
    return {name: found[name] for name in sorted(found)}


def from_azmcp(name: str) -> dict[str, Any]:
    """Return the schema of the resource type *name* as azmcp, on PATH, knows it."""
    command = ["azmcp", "bicepschema", "get", "--resource-type", name]
    environment = {**os.environ, "AZURE_MCP_COLLECT_TELEMETRY": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    entries = json.loads(done.stdout)["results"]["BicepSchemaResult"]
    resource = next(entry for entry in entries if entry["$type"] == "Resource")
    types = {entry["name"]: shape(entry) for entry in entries if entry["$type"] in {"Object", "DiscriminatedObject"}}
    body = shape(resource["bodyType"])
    if "variants" in body:
        body["variants"] = {key: value for key, value in body["variants"].items() if key in VARIANTS}
    version = importlib.metadata.version("msmcp-azure")
    return {
        "type": name,
        "apiVersion": resource["name"].partition("@")[2],
        "source": f"msmcp-azure {version}, MIT, Microsoft",
        "body": body,
        "types": reachable(body, types),
    }


def model_type(text: str, module: Any, types: dict[str, Any]) -> str:
    """Return a model's attribute type in azmcp's words; models that it names are added to *types*."""
    if text.startswith("["):
        return f"{model_type(text[1:-1], module, types)}[]"
    if text.startswith("{"):
        return "Tags"
    if text in _PLAIN:
        return _PLAIN[text]
    if text not in types:
        types[text] = {}
        types[text] = model_shape(getattr(module, text), module, types)
    return text


def model_shape(model: Any, module: Any, types: dict[str, Any]) -> dict[str, Any]:
    """Return the shape of a model; what it keeps under `properties` goes into a type of that name."""
    top: dict[str, str] = {}
    inner: dict[str, str] = {}
    for attribute, detail in getattr(model, "_attribute_map", {}).items():
        rules = getattr(model, "_validation", {}).get(attribute, {})
        path, into = detail["key"].partition("."), top
        name = path[0]
        if path[1]:
            into, name = inner, path[2]
        sign = "-" if rules.get("readonly") else "!" if rules.get("required") else ""
        into[name] = sign + model_type(detail["type"], module, types)
    if inner:
        types["Properties"] = inner
        needed = any(spec.startswith("!") for spec in inner.values())
        top["properties"] = "!Properties" if needed else "Properties"
    return top


def from_model(name: str, version: str, distribution: str, package: str, model: str) -> dict[str, Any]:
    """Return the schema of the resource type *name* as a management library's *model* has it."""
    module = importlib.import_module(f"azure.mgmt.{package}.models")
    types: dict[str, Any] = {"Tags": {"*": "string"}}
    body = model_shape(getattr(module, model), module, types)
    body |= {"name": "!string", "apiVersion": f"-{version}"}
    return {
        "type": name,
        "apiVersion": version,
        "source": f"{distribution} {importlib.metadata.version(distribution)}, MIT, Microsoft",
        "body": body,
        "types": reachable(body, types),
    }


def main() -> None:
    """Write every file anew."""
    schemas = [*(from_azmcp(name) for name in TYPES), *(from_model(*entry) for entry in MODELS)]
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for schema in schemas:
        text = json.dumps(schema, indent=1, sort_keys=False, ensure_ascii=False)
        (FOLDER / f"{schema['type'].replace('/', '_')}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
