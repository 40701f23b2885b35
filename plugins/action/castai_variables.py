# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound
from ansible.plugins.action import ActionBase

from ansible_collections.castai.onboarding.plugins.module_utils import _addresses
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import PROVIDERS, all_options
from ansible_collections.castai.onboarding.plugins.module_utils._credentials import pasted, quoted
from ansible_collections.castai.onboarding.plugins.module_utils._engine import numbered, only_plans
from ansible_collections.castai.onboarding.plugins.module_utils._given import as_data, converted, is_given, problem
from ansible_collections.castai.onboarding.plugins.module_utils._helm.values import secrets
from ansible_collections.castai.onboarding.plugins.module_utils._variables import EXPECTED, VARIABLES, right_name
from ansible_collections.castai.onboarding.plugins.plugin_utils._role_variables import role_variables
from ansible_collections.castai.onboarding.plugins.plugin_utils._vaulted import in_variables

# Ansible imports this before it forks for each task on each host.
KNOWN = role_variables()
OPTIONS = all_options()

PROVIDER = "castai_provider"
OF_ROLE = "__castai_provider"
"""A role for a single provider sets this to the provider's key."""


class ActionModule(ActionBase):
    """Reads the host's variables, which only the controller has."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = {name: value for name, value in (task_vars or {}).items() if isinstance(name, str)}
        values, unreadable = self._values(variables)
        of_role = self._templar.template(variables.get(OF_ROLE, "")) if PROVIDER in values else ""
        key = of_role if is_given(of_role) else values.get(PROVIDER, "")
        findings = [*_wrong_names(variables, values, key), *unreadable, *_wrong_role(values.get(PROVIDER), of_role)]
        findings += _wrong_values({**values, PROVIDER: of_role} if is_given(of_role) else values, variables)
        if findings:
            result.update(failed=True, msg=numbered(findings), findings=findings)
            return result
        result["only_plans"] = only_plans(self._task)
        result["connected"] = _connected(values, variables)
        provider = PROVIDERS.get(key)
        if provider:
            result["of_provider"] = {
                "component_values": as_data(provider.component_values),
                "direct": list(provider.direct),
                "proxied_values": as_data(provider.proxied_values),
                "roles_between": list(provider.roles_between),
            }
        if self._task.no_log:
            # Chart values may contain secrets, so neither the output nor a callback may show them.
            result["variables"] = {name: _value(name, given) for name, given in values.items() if not _no_log(name)}
        return result

    def _values(self, variables: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The values of the host's variables, and a sentence for each whose template fails."""
        values: dict[str, Any] = {}
        unreadable = []
        for name in filter(variables.__contains__, KNOWN):
            try:
                # In a dictionary, because newer versions of Ansible remove omitted values from one.
                found = self._templar.template({name: variables[name]}).get(name)
                values[name] = None if found == variables.get("omit") else as_data(found)
            except Exception as error:
                # Ansible's own message repeats itself, and in older versions shows the template, which may be secret.
                reason = str(getattr(error, "orig_exc", None) or error)
                unreadable.append(f"{name} cannot be read: {reason.rstrip('.')}.")
        return values, unreadable


def _connected(values: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, str]:
    """The cluster's ID as an earlier play or role of this run reported it; blank if a plan does not know it yet."""
    name, found = values.get("castai_cluster_name"), variables.get("castai_registered")
    name = str(name).strip() if is_given(name) else variables.get("inventory_hostname")
    if not isinstance(found, Mapping) or found.get("cluster_name") != name:
        return {}
    return {"cluster_id": found.get("cluster_id", "")}


def _wrong_names(variables: Mapping[str, Any], values: Mapping[str, Any], provider: Any) -> Iterator[str]:
    for name in sorted(variables):
        expected = EXPECTED.get(name.lower(), "")
        right = (expected if _lacks(expected, values, provider) else None) if expected else right_name(name, KNOWN)
        if right is not None:
            advice = f"Use {right}" if right else "Remove it"
            yield f"{name} is not a variable of castai.onboarding. {advice}."


def _lacks(name: str, values: Mapping[str, Any], provider: Any) -> bool:
    """Whether a host of this provider needs the variable, but neither the inventory nor the environment sets it."""
    option = VARIABLES[name]
    takers = [key for key, one in PROVIDERS.items() if option in one.options]
    of_use = provider in takers or not takers
    return of_use and not is_given(values.get(name)) and not is_given(_value(name, None))


def _wrong_role(provider: Any, of_role: Any) -> Iterator[str]:
    """provider: the host's, not given if it has none. of_role: the role's, not given if the role is for all."""
    if is_given(provider) and is_given(of_role) and provider != of_role:
        yield (
            f"{PROVIDER} is {quoted(provider)}, but this role is for {of_role}. Use the role of the cluster's"
            f" provider, or set {PROVIDER} to {of_role}."
        )


def _wrong_values(values: Mapping[str, Any], variables: Mapping[str, Any]) -> Iterator[str]:
    given_values = {name: value for name, value in values.items() if is_given(value)}
    unreadable = [name for name in KNOWN if name in variables and name not in values]
    for name in (name for name in KNOWN if name not in given_values and name not in unreadable):
        option = _option(name)
        if option.get("required"):
            choices = f" to one of: {', '.join(option['choices'])}" if option.get("choices") else ""
            yield f"{name} is not set. Set it{choices}."
    wrong = [name for name, value in given_values.items() if problem(name, _option(name), value)]
    # Only now, because decrypting takes time.
    hidden = _secrets(values, variables) if wrong else frozenset()
    for name in wrong:
        # If a text or list was given instead of chart values, nothing shows which part of it is secret.
        private = {"no_log": True} if _are_chart_values(name) else {}
        yield problem(name, {**_option(name), **private}, given_values[name], hidden)
    addresses = [name for name in given_values if name in _addresses.FOR_CHARTS and name not in wrong]
    found = (_addresses.of_variable(name, converted(_option(name), given_values[name])) for name in addresses)
    yield from filter(None, found)


def _option(name: str) -> Mapping[str, Any]:
    """The variable as its role describes it, but with the providers of the table as choices."""
    return {**KNOWN[name], "choices": [*PROVIDERS]} if name == PROVIDER else KNOWN[name]


def _no_log(name: str) -> bool:
    return bool(KNOWN[name].get("no_log"))


def _are_chart_values(name: str) -> bool:
    return VARIABLES[name] == "values" and KNOWN[name]["type"] == "dict"


def _secrets(values: Mapping[str, Any], variables: Mapping[str, Any]) -> frozenset[str]:
    """The texts that must not be shown: secret variables, `!vault` values, and what looks like a secret elsewhere."""
    whole = [value for name, value in values.items() if _no_log(name) and isinstance(value, str) and value.strip()]
    whole += [text for name, value in values.items() for text in pasted({VARIABLES[name]: value})]
    inside = secrets({name: value for name, value in values.items() if not isinstance(value, str)})
    return frozenset([*whole, *inside, *in_variables(variables)])


def _value(name: str, given: Any) -> Any:
    """The value in the variable's type. If it is not given, the module's value from the environment, or the default."""
    option = KNOWN[name]
    if is_given(given):
        return converted(option, given)
    module_option = OPTIONS.get(VARIABLES[name], {})
    default = module_option.get("default", option.get("default"))
    if "fallback" not in module_option:
        return default
    fallback, names = module_option["fallback"]
    try:
        return fallback(*names)
    except AnsibleFallbackNotFound:
        return default
