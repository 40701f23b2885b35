# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the collection as a whole: layers, documentation, roles, licenses, nothing specific to one machine."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2.meta
import pytest
import yaml

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import PROVIDERS, RECORDED
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Several
from ansible_collections.castai.onboarding.plugins.module_utils._variables import VARIABLES
from tests.tree import NAME, ROOT, files

COLLECTION = ".".join(NAME.parts[1:])
PACKAGE = ".".join((*NAME.parts, "plugins"))
PLUGINS = sorted(path.relative_to("plugins") for path in files() if path.parts[0] == "plugins" and path.suffix == ".py")
IN_CONTROLLER = {"castai_variables"}
"""Documented as modules, but only action plugins: only the controller has the variables of a host."""
MODULES = [path.stem for path in PLUGINS if path.parts[0] == "modules" and path.stem not in IN_CONTROLLER]
ROLES = sorted({path.parts[1] for path in files() if path.parts[0] == "roles"})

Options = Mapping[str, Mapping[str, Any]]


PARSER = jinja2.Environment(autoescape=True)


def imported(path: Path) -> ModuleType:
    return importlib.import_module(".".join((PACKAGE, *path.with_suffix("").parts)))


def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / "plugins" / path).read_text(encoding="utf-8"))


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


# Layers

LAYERS = (
    ("_answers", "_credentials", "_equal", "_given", "_patience", "_variables", "_temp_folder"),
    ("_addresses", "_diff", "_forms"),
    ("_engine", "_options"),
    ("_names",),
    ("_gateways",),
    ("_keys", "_owner", "_record"),
    ("_aws", "_azure", "_google"),
    ("_clusters",),
    ("_helm", "_k8s"),
    ("_castai",),
)
"""Folders and files of module_utils, the lowest layer first. Each may import those of the rows before it."""

SDKS = {
    "azure",
    "boto3",
    "botocore",
    "google",
    "googleapiclient",
    "kubernetes",
    "msal",
    "requests",
    "subprocess",
    "urllib3",
}
"""Packages for outside systems, and modules that run programs."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, with its dots, and every name that it imports from one."""
    package = (PACKAGE, *path.parent.parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield from (module, *(f"{module}.{name.name}" for name in node.names))


def own_imports(path: Path) -> set[Path]:
    """The files of plugins that a file of plugins imports."""
    ours = (name.removeprefix(f"{PACKAGE}.").split(".") for name in imports(path) if name.startswith(f"{PACKAGE}."))
    return {Path(*parts[:-1], f"{parts[-1]}.py") for parts in ours} & set(PLUGINS)


def layer(path: Path) -> int:
    """The layer of a file: higher layers may import lower ones."""
    kind, *rest = path.with_suffix("").parts
    if kind != "module_utils":
        return {"doc_fragments": -1, "plugin_utils": len(LAYERS)}.get(kind, len(LAYERS) + 1)
    return next(number for number, row in enumerate(LAYERS) if rest[0] in row)


@pytest.mark.parametrize("path", PLUGINS, ids=str)
def test_imports_go_downwards_only(path: Path) -> None:
    folder = path.parent
    siblings = len(path.parts) > 2 or folder.name == "plugin_utils"
    in_its_folder = {other for other in own_imports(path) if other.parent == folder and siblings}
    assert [other for other in own_imports(path) - in_its_folder if layer(other) >= layer(path)] == []


def test_imports_go_in_no_circle() -> None:
    order = list(TopologicalSorter({path: own_imports(path) for path in PLUGINS}).static_order())
    assert sorted(order) == PLUGINS


def test_the_architecture_page_shows_every_layer_from_top_to_bottom() -> None:
    page = (ROOT / "docs/docsite/rst/architecture.rst").read_text(encoding="utf-8")
    picture = page.partition("plugins/module_utils/\n")[2].partition("\n\n")[0]
    heads = re.findall(r"^ {6}((?:_\w+(?:\.py|/) )+)", picture, re.MULTILINE)
    shown = [re.split(r"\W", name)[0] for head in heads for name in head.split()]
    rows = [next(number for number, row in enumerate(LAYERS) if name in row) for name in shown]
    assert rows == sorted(rows, reverse=True)
    assert sorted(shown) == sorted(name for row in LAYERS for name in row)


@pytest.mark.parametrize("path", PLUGINS, ids=str)
def test_outside_systems_are_talked_to_by_gateways_only(path: Path) -> None:
    assert "_gateways" in path.parts or {name.split(".")[0] for name in imports(path)} & SDKS == set()


# Providers

CLOUDS = ("_aws", "_google", "_azure")
"""Folders for CAST AI's identities in each cloud."""

PROVIDER_NAMES = {*RECORDED, *(provider.title for provider in PROVIDERS.values())}


def of_providers(path: Path) -> bool:
    """Whether a file belongs to one provider, or to one cloud, whose services may have a provider's name."""
    clouds = [f"_gateways/{folder[1:]}" for folder in CLOUDS]
    return any(str(path).startswith(f"module_utils/{one}") for one in ("_clusters/", *CLOUDS, *clouds))


def providers_named(tree: ast.Module) -> set[str]:
    """A text that is a provider's name: compared, looked up, or the key of a dictionary, it would be a branch."""
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts & PROVIDER_NAMES


@pytest.mark.parametrize("path", [path for path in PLUGINS if not of_providers(path)], ids=str)
def test_no_story_names_a_provider(path: Path) -> None:
    assert providers_named(tree_of(path)) == set()


@pytest.mark.parametrize(
    "text",
    ['x == "eks"', 'x in ("kops",)', '{"gke": 1}[x]', 'x.get("aks")', 'f"{x}" != "kOps"', 'match x:\n case "EKS": y'],
)
def test_a_story_that_names_a_provider_would_be_found(text: str) -> None:
    assert providers_named(ast.parse(text))


@pytest.mark.parametrize("path", [path for path in PLUGINS if path.parts[1] in ("_castai", "_helm", "_k8s")], ids=str)
def test_stories_import_of_clusters_what_is_of_all_providers_alone(path: Path) -> None:
    of_all = {"__init__", "connection", "facts", "table"}
    found = {other for other in own_imports(path) if len(other.parts) > 2}
    assert [other for other in found if other.parts[1] in CLOUDS] == []
    assert [other for other in found if other.parts[1] == "_clusters" and other.stem not in of_all] == []


def texts_in(value: Any) -> Iterator[str]:
    """Every text and key of what a YAML file holds."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from (str(key), *texts_in(item))
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, str):
        yield value


QUOTED = re.compile(rf"""['"]({"|".join(map(re.escape, PROVIDER_NAMES))})['"]""")


def providers_named_in_yaml(text: str) -> list[str]:
    return [one for one in texts_in(yaml.safe_load(text)) if one in PROVIDER_NAMES or QUOTED.search(one)]


TASKS = [
    path
    for path in files()
    if path.suffix == ".yml"
    and (path.parts[0] == "playbooks" or (path.parts[0] == "roles" and path.parts[2] != "meta"))
]


@pytest.mark.parametrize("path", TASKS, ids=str)
def test_no_role_or_playbook_names_a_provider(path: Path) -> None:
    """A role for one provider names it once, to the roles that it calls."""
    text = (ROOT / path).read_text(encoding="utf-8")
    own = re.findall(r"^ +__castai_provider: (\w+)$", text, re.MULTILINE)
    assert providers_named_in_yaml(text) == own
    for key in own:
        assert path.parts[1].startswith(f"{key}_") or path.parts[1] in PROVIDERS[key].roles_between


@pytest.mark.parametrize("text", ["when: x == 'eks'", "a: \"{{ {'kops': 1}[x] }}\"", "a:\n  gke: 1", "in: [aks]"])
def test_a_role_that_names_a_provider_would_be_found(text: str) -> None:
    assert providers_named_in_yaml(text)


NEWER = re.compile(r"(?<![a-z])(gke|aks|google|azure|gcp)(?![a-z])", re.IGNORECASE)
"""How the providers are called that were added after the layout: in code, only their own files know them. Fragments are
documentation."""

OWN_FILES = re.compile(
    r"plugins/(module_utils/(_google|_azure|_gateways/(google|azure)|_clusters/(on_)?(gke|aks|google|azure))"
    r"|(modules|action)/castai_(gke|aks)_|doc_fragments/)|roles/(gke|aks)_"
)

MENTIONED = {
    "plugins/module_utils/_clusters/table.py": "the only file that names all providers",
    "plugins/module_utils/_gateways/castai.py": "CAST AI's API has calls for the account that it has at Google",
    "plugins/module_utils/_record.py": "preflight hands one of these calls on",
    "plugins/module_utils/_variables.py": "which variable of the inventory sets which option",
    "roles/castai/defaults/main.yml": "variables of all clouds",
    "roles/castai/vars/main.yml": "variables of all clouds, and what a plan says of their settings",
}
"""The other files that mention them, and why."""


def code_texts(tree: ast.Module) -> Iterator[str]:
    """Every name and text of a Python file but documentation: a text alone, and what ansible-doc reads."""
    documents = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    shown: set[ast.AST] = set()
    for node in ast.walk(tree):
        named = [getattr(target, "id", "") for target in node.targets] if isinstance(node, ast.Assign) else []
        if documents & {*named} or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            shown |= {*ast.walk(node)}
    for node in set(ast.walk(tree)) - shown:
        texts = (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "module", "value"))
        yield from (text for text in texts if isinstance(text, str))


def mentions(path: Path) -> bool:
    """Whether the code of a file of plugins, roles or playbooks names one of the newer providers or clouds."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = code_texts(ast.parse(text)) if path.suffix == ".py" else texts_in(yaml.safe_load(text))
    return any(NEWER.search(one) for one in found)


def test_nothing_of_the_newer_providers_is_outside_their_files() -> None:
    python = [path for path in files() if path.suffix == ".py" and path.parts[0] == "plugins"]
    known = [path for path in (*python, *TASKS) if not OWN_FILES.match(str(path))]
    assert {str(path) for path in known if mentions(path)} == {*MENTIONED}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def of_gke(): pass", True),
        ("from x import _azure", True),
        ("import google.auth", True),
        ("f'{x} is GKE'", True),
        ("f(aks=1)", True),
        ("x.google", True),
        ("'GKE'\nEXAMPLES = 'aks'  # azure", False),
        ("BREAKS = 'breaks'", False),
    ],
)
def test_code_that_names_one_would_be_found(text: str, found: bool) -> None:
    assert any(NEWER.search(one) for one in code_texts(ast.parse(text))) == found


def test_one_file_knows_about_check_mode() -> None:
    def knows(path: Path) -> bool:
        return any(
            "check_mode" in (getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "arg", None))
            for node in ast.walk(tree_of(path))
        )

    assert [str(path) for path in PLUGINS if knows(path)] == ["module_utils/_engine.py"]


@pytest.mark.parametrize("path", PLUGINS, ids=str)
def test_shared_code_is_private(path: Path) -> None:
    if path.parts[0] in ("module_utils", "plugin_utils"):
        assert path.parts[1].startswith("_")


# Modules


def documentation(module: str) -> dict[str, Any]:
    """A module's documentation with its fragments. It may not repeat their options and attributes."""
    whole = yaml.safe_load(imported(Path("modules", f"{module}.py")).DOCUMENTATION)
    for name in whole["extends_documentation_fragment"]:
        file, _dot, variable = name.removeprefix(f"{COLLECTION}.").partition(".")
        fragment = imported(Path("doc_fragments", f"{file}.py")).ModuleDocFragment
        part = yaml.safe_load(getattr(fragment, (variable or "documentation").upper()))
        whole["options"] = {**part.get("options", {}), **whole["options"]}
        whole["attributes"] = {**part.get("attributes", {}), **whole.get("attributes", {})}
    return whole


def subject(module: str) -> Any:
    return imported(Path("modules", f"{module}.py")).SUBJECT


def described(options: Options, nested: str) -> dict[str, Any]:
    """The properties of options that documentation and argument spec share; nested: the key of suboptions in each."""
    return {
        name: {
            "type": option.get("type", "str"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "elements": option.get("elements"),
            "aliases": sorted(option.get("aliases", [])),
            "options": described(option[nested], nested) if option.get(nested) else None,
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("module", MODULES)
def test_documentation_says_what_the_arguments_are(module: str) -> None:
    specified = described(subject(module).options["argument_spec"], "options")
    assert described(documentation(module)["options"], "suboptions") == specified


def test_markup_contains_no_bracket_that_would_end_it() -> None:
    folders = (("plugins", "modules"), ("plugins", "doc_fragments"))
    for path in files():
        if path.parts[:2] in folders or path.name == "argument_specs.yml":
            text = re.sub(r"\\.", "", (ROOT / path).read_text(encoding="utf-8"))
            assert not re.findall(r"\b[CEOV]\([^()\n]*\([^()\n]*\)\)", text), path


@pytest.mark.parametrize("module", MODULES)
def test_own_options_are_in_alphabetical_order(module: str) -> None:
    """This includes options that only add to their fragment's description."""
    own = list(yaml.safe_load(imported(Path("modules", f"{module}.py")).DOCUMENTATION)["options"])
    assert own == sorted(own)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_tells_what_it_can_do(module: str) -> None:
    told = documentation(module)
    assert set(told["attributes"]) >= {"check_mode", "diff_mode", "idempotent", "action_group"}
    assert told["module"] == module
    assert told["description"]
    returned = yaml.safe_load(imported(Path("modules", f"{module}.py")).RETURN)
    assert {"actions", "changes"} <= set(returned)
    assert all(value.get("description") and value.get("returned") for value in returned.values())


@pytest.mark.parametrize("module", MODULES)
def test_examples_use_the_module_with_options_it_has(module: str) -> None:
    specification = subject(module).options["argument_spec"]
    known = {alias for name, option in specification.items() for alias in (name, *option.get("aliases", ()))}
    tasks = yaml.safe_load(imported(Path("modules", f"{module}.py")).EXAMPLES)
    used = [task[f"{COLLECTION}.{module}"] for task in tasks if f"{COLLECTION}.{module}" in task]
    assert used
    assert [set(options) - known for options in used if set(options) - known] == []


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_they_are_copied(module: str) -> None:
    """The API key comes from the environment, as the README says, and nothing else comes from outside."""
    known = {"lookup"}
    for task in yaml.safe_load(imported(Path("modules", f"{module}.py")).EXAMPLES):
        used = jinja2.meta.find_undeclared_variables(PARSER.parse("\n".join(texts(task))))
        assert used - known == set(), task["name"]
        known |= {task["register"]} if "register" in task else set()


@pytest.mark.parametrize("module", MODULES)
def test_the_action_plugin_of_a_module_is_about_the_same(module: str) -> None:
    assert imported(Path("action", f"{module}.py")).ActionModule.SUBJECT is subject(module)


def test_every_action_plugin_is_a_modules() -> None:
    assert [path.stem for path in PLUGINS if path.parts[0] == "action"] == sorted({*MODULES, *IN_CONTROLLER})


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_plan_test(module: str) -> None:
    found = subject(module)
    single = found.subject if isinstance(found, Several) else found
    planned_in = Path(*single.plan.__module__.removeprefix(f"{PACKAGE}.").split("."))
    test = ROOT / "tests/unit/plugins" / planned_in.parent / f"test_{planned_in.name}.py"
    calls = [node for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {getattr(call.func, "id", None) or getattr(call.func, "attr", None) for call in calls}
    assert "plan" in names


PLANS = re.compile(r"_?plan(_\w+)?|removals|_?remove_\w+")
"""Names of functions that plan."""


def reached(tree: ast.Module, *names: str) -> set[str]:
    """The names that a file's functions use, including those of its own functions that they call, recursively."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found, left = set[str](), list(names)
    while left:
        nodes = ast.walk(functions[left.pop()])
        used = {name for node in nodes for name in (getattr(node, "id", None), getattr(node, "attr", None)) if name}
        left += [name for name in used - found if name in functions]
        found |= used
    return found


@pytest.mark.parametrize("module", MODULES)
def test_neither_what_reads_nor_what_shows_plans(module: str) -> None:
    found = subject(module)
    single = found.subject if isinstance(found, Several) else found
    for part in (single.desired, single.connect, single.observe, single.view, single.settle):
        if part is not None:
            path = Path(*part.__module__.removeprefix(f"{PACKAGE}.").split(".")).with_suffix(".py")
            assert [name for name in reached(tree_of(path), part.__name__) if PLANS.fullmatch(name)] == []


def test_a_view_that_plans_would_be_found() -> None:
    tree = ast.parse("def view():\n return shown()\ndef shown():\n return [*removals()]\ndef removals():\n pass")
    assert [name for name in reached(tree, "view") if PLANS.fullmatch(name)] == ["removals"]


def test_action_groups_are_of_those_that_have_the_options() -> None:
    """castai_cluster_info has the options of a cluster too, but uses them to search."""
    groups = loaded("meta/runtime.yml")["action_groups"]
    specifications = {module: set(subject(module).options["argument_spec"]) for module in MODULES}
    having = {
        "all": set(),
        "aws": {"secret_key"},
        "castai": {"castai_api_key"},
        "cluster": {"provider", "cluster_name"},
        "azure": {"x509_certificate_path"},
        "google": {"service_account_file"},
        "kubernetes": {"kubeconfig"},
    }
    found = {
        group: [module for module in MODULES if options <= specifications[module]] for group, options in having.items()
    }
    found["cluster"].remove("castai_cluster_info")
    assert groups == found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_of_which_action_groups_it_is(module: str) -> None:
    groups = [group for group, modules in loaded("meta/runtime.yml")["action_groups"].items() if module in modules]
    told = documentation(module)["attributes"]["action_group"]["membership"]
    assert told == [f"{COLLECTION}.{group}" for group in groups]


# Secrets

LOOKS_SECRET = re.compile(r"key|token|secret|pass|credential")
PUBLIC = {"access_key", "credentials_secret", "credential", "aks_onboard_credential"}
"""An id, the name of an object, and a kind."""


def looking_secret(options: Options, nested: str = "options") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, option in options.items():
        if LOOKS_SECRET.search(name) and option.get("type", "str") in ("str", "raw"):
            yield name, option
        yield from looking_secret(option.get(nested) or {}, nested)


@pytest.mark.parametrize("module", MODULES)
def test_what_looks_secret_is_masked_or_said_to_be_none(module: str) -> None:
    found = dict(looking_secret(subject(module).options["argument_spec"]))
    assert {name: option.get("no_log") for name, option in found.items()} == {
        name: name not in PUBLIC for name in found
    }


# Roles

Spec = Mapping[str, Any]


def argument_specs() -> dict[str, Spec]:
    """The specification of each role, by "role/entry"."""
    return {
        f"{role}/{name}": entry
        for role in ROLES
        for name, entry in loaded(f"roles/{role}/meta/argument_specs.yml")["argument_specs"].items()
    }


def variables_of(role: str) -> dict[str, Any]:
    entries = [entry["options"] for name, entry in argument_specs().items() if name.startswith(f"{role}/")]
    return {name: option for options in entries for name, option in options.items()}


ALL_VARIABLES = {name: option for role in ROLES for name, option in variables_of(role).items()}


def described_twice(specs: Mapping[str, Spec]) -> list[str]:
    """Variables and descriptions that occur in two argument specs, or twice in one."""
    found: dict[str, list[str]] = {}
    for entry, spec in specs.items():
        for name, option in spec["options"].items():
            found.setdefault(name, []).append(entry)
            found.setdefault(str(option["description"]), []).append(entry)
    return [text for text, entries in found.items() if len(entries) > 1]


def begins_with_a_value(option: Mapping[str, Any]) -> bool:
    """Whether a description begins with one of the values instead of what the option does."""
    description = option["description"]
    first = description if isinstance(description, str) else description[0]
    return first.startswith(("V(", "C("))


def test_each_description_begins_with_what_the_option_does() -> None:
    specs = {**argument_specs(), **{module: documentation(module) for module in MODULES}}
    every = [(entry, name, one) for entry, spec in specs.items() for name, one in (spec.get("options") or {}).items()]
    assert [(entry, name) for entry, name, option in every if begins_with_a_value(option)] == []


def test_no_variable_is_described_twice() -> None:
    assert described_twice(argument_specs()) == []


def test_a_copied_variable_would_be_found() -> None:
    specs = argument_specs()
    copied = specs["castai/variables"]["options"]["castai_region"]
    more = {"options": {**specs["eks_onboard/main"]["options"], "eks_onboard_region": copied}}
    assert described_twice({**specs, "eks_onboard/main": more}) == [copied["description"]]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_of_a_role_are_the_same_variables(role: str) -> None:
    path = ROOT / "roles" / role / "defaults/main.yml"
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    options = variables_of(role)
    assert {name: option.get("default") for name, option in options.items()} == {
        name: value if value != "" or "default" in options[name] else None for name, value in defaults.items()
    }
    assert all(name.startswith(f"{role}_") for name in options)


def test_only_the_provider_is_required() -> None:
    assert [name for name, option in ALL_VARIABLES.items() if option.get("required")] == ["castai_provider"]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "roles").glob("*/tasks/*.yml")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_role_sets_a_variable_of_the_inventory(path: Path) -> None:
    """Conditions of a user's play also apply to every task of a role, so they must mean the same there."""
    names = re.findall(r"^\s+(?:- )?([a-z_]+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(names) & set(VARIABLES) == set()


@pytest.mark.parametrize("role", [role for role in ROLES if role != "castai"])
def test_every_role_depends_on_the_one_that_has_the_shared_variables(role: str) -> None:
    assert loaded(f"roles/{role}/meta/main.yml")["dependencies"] == [{"role": f"{COLLECTION}.castai"}]


def test_the_changelog_of_the_first_release_lists_all_modules_and_roles_with_their_short_descriptions() -> None:
    first = loaded("changelogs/changelog.yaml")["releases"]["0.1.0"]
    listed = {
        entry["name"]: entry["description"].replace("\\", "")
        for entry in [*first["modules"], *first["objects"]["role"]]
    }
    modules = {
        name: yaml.safe_load(imported(Path("modules", f"{name}.py")).DOCUMENTATION)["short_description"]
        for name in (*MODULES, *IN_CONTROLLER)
    }
    # The role castai has no entry of that kind, because nobody calls it.
    roles = {
        entry.removesuffix("/main"): spec["short_description"]
        for entry, spec in argument_specs().items()
        if entry.endswith("/main")
    }
    assert listed == modules | roles
    page = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8").replace("\\", "")
    assert [name for name, text in listed.items() if f"- {COLLECTION}.{name} - {text}\n" not in page] == []
    assert " ".join(first["changes"]["release_summary"].split()) in page


def test_the_docs_first_page_links_to_every_page_and_every_role() -> None:
    folder = ROOT / "docs"
    linked = set(re.findall(r"\]\(([^)#]+)\)", (folder / "README.md").read_text(encoding="utf-8")))
    pages = {f"docsite/rst/{path.name}" for path in (folder / "docsite/rst").glob("*.rst")}
    assert pages | {f"../roles/{role}/README.md" for role in ROLES} <= linked
    assert [link for link in linked if "://" not in link and not (folder / link).exists()] == []


def test_the_shared_variables_are_no_entry_that_ansible_checks_by_itself() -> None:
    entries = set(loaded("roles/castai/meta/argument_specs.yml")["argument_specs"])
    tasks = {path.stem for path in (ROOT / "roles/castai/tasks").iterdir()}
    assert entries & (tasks | {"main"}) == set()


@pytest.mark.parametrize("entry", argument_specs())
def test_every_entry_of_a_role_has_an_example_that_ansible_can_read(entry: str) -> None:
    assert yaml.safe_load(argument_specs()[entry]["examples"])


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_in_its_readme(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert [name for name in variables_of(role) if f"`{name}`" not in readme] == []


def test_every_variable_has_its_row_in_the_one_table() -> None:
    assert set(VARIABLES) == set(ALL_VARIABLES)


def test_the_table_names_options_that_modules_have() -> None:
    options = {option for module in MODULES for option in subject(module).options["argument_spec"]}
    assert {option for option in VARIABLES.values() if option} - options == set()


def test_the_inventory_may_name_every_provider() -> None:
    assert ALL_VARIABLES["castai_provider"]["choices"] == [*PROVIDERS]


SECRET_VARIABLES = {
    "aks_onboard_existing_app_secret",
    "castai_api_key",
    "castai_aws_secret_key",
    "castai_aws_session_token",
    "castai_azure_oidc_token",
    "castai_azure_secret",
    "castai_google_access_token",
    "castai_google_service_account_contents",
    "castai_host_token",
}


def test_secret_variables_are_masked() -> None:
    assert {name for name, option in ALL_VARIABLES.items() if option.get("no_log")} == SECRET_VARIABLES
    named = {name.removeprefix("castai_").removeprefix("aws_") for name, _option in looking_secret(ALL_VARIABLES)}
    # A dictionary whose name does not suggest that it contains a key.
    by_name = SECRET_VARIABLES - {"castai_google_service_account_contents"}
    assert named - PUBLIC == {name.removeprefix("castai_").removeprefix("aws_") for name in by_name}


def test_an_option_group_reaches_the_modules_by_the_variables_of_the_table() -> None:
    """The dictionaries that role castai passes to the modules, compared with the table."""
    shared = (ROOT / "roles/castai/vars/main.yml").read_text(encoding="utf-8")
    handed = dict(re.findall(r"^    '(\w+)': (castai_\w+)", shared, re.MULTILINE))
    handed |= dict(re.findall(r"'(cluster_id)': (castai_cluster_id)", shared))
    rows = {option: name for name, option in reversed(VARIABLES.items()) if name.startswith("castai_")}
    assert handed
    assert {option: rows.get(option) for option in handed if option != "connecting"} == {
        option: variable for option, variable in handed.items() if option != "connecting"
    }


# Files


@pytest.mark.parametrize("path", [path for path in files() if path.suffix == ".py"], ids=str)
def test_python_files_say_their_license(path: Path) -> None:
    head = (ROOT / path).read_text(encoding="utf-8").splitlines()[:4]
    assert not head or "# SPDX-License-Identifier: GPL-3.0-or-later" in head
    assert not head or any(line.startswith("# GNU General Public License v3.0+") for line in head)


def registries() -> set[str]:
    """Hosts that this machine's package managers are configured to use."""
    commands = [
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        ["go", "env", "GOPROXY"],
        ["npm", "config", "get", "registry"],
    ]
    said = [
        subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for command in commands
        if shutil.which(command[0])
    ]
    return set(re.findall(r"https?://(?:[^/:@\s]*@)?([^/:,\s]+)", " ".join(said)))


def test_no_file_names_a_package_registry_or_a_path_of_this_machine() -> None:
    home = Path.home()
    places = {f"{ROOT}/", *([f"{home}/"] if home != Path(home.anchor) else [])}
    wanted = [text.encode() for text in sorted(registries() | places)]
    found = [(str(path), text) for path in files() for text in wanted if text in (ROOT / path).read_bytes()]
    assert found == []
