# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible.module_utils.common.parameters import AnsibleFallbackNotFound
from ansible.plugins.action import ActionBase

from ansible_collections.castai.onboarding.plugins.module_utils._given import converted, is_given, problem
from ansible_collections.castai.onboarding.plugins.module_utils._options import all_options
from ansible_collections.castai.onboarding.plugins.module_utils._variables import VARIABLES, right_name
from ansible_collections.castai.onboarding.plugins.plugin_utils._role_variables import role_variables

# Ansible imports this before it forks for each task on each host.
KNOWN = role_variables()
OPTIONS = all_options()


class ActionModule(ActionBase):
    """Reads the host's variables, which only the controller has."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        values = {
            name: self._templar.template(variables[name])
            for name, option in KNOWN.items()
            if name in variables and not option.get("no_log")
        }
        findings = [*_wrong_names(variables), *_wrong_values(values)]
        if findings:
            numbered = " ".join(f"({number}) {text}" for number, text in enumerate(findings, 1))
            result.update(failed=True, msg=findings[0] if len(findings) == 1 else numbered, findings=findings)
        else:
            # The values are of use to the roles alone, and many.
            result.update(variables={name: _value(name, given) for name, given in values.items()})
            result["_ansible_verbose_override"] = True
        return result


def _wrong_names(variables: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(variables):
        right = right_name(name, KNOWN)
        if right is not None:
            advice = f"Use {right}" if right else "Remove it"
            yield f"{name} is not a variable of castai.onboarding. {advice}."


def _wrong_values(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        option = KNOWN[name]
        if is_given(value):
            yield from filter(None, [problem(name, option, value)])
        elif option.get("required"):
            choices = f" to one of: {', '.join(option['choices'])}" if option.get("choices") else ""
            yield f"{name} is not set. Set it{choices}."


def _value(name: str, given: Any) -> Any:
    """In the variable's type; where it is not given, what the module takes from the environment, or the default."""
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
