# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of all action plugins: runs the module's own code inside the controller, if that makes no difference.

This saves a Python start and the SDK imports of every task, and can show progress while a task waits. PRIVATE to the
collection.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Collection
from typing import Any, ClassVar

from ansible import constants
from ansible.executor.play_iterator import PlayIterator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.plugins.strategy import StrategyBase
from ansible.template import Templar
from ansible.utils.display import Display

from ansible_collections.castai.onboarding.plugins.module_utils._clusters.facts import Provider
from ansible_collections.castai.onboarding.plugins.module_utils._clusters.table import PROVIDERS
from ansible_collections.castai.onboarding.plugins.module_utils._engine import AnySubject, Report, run_task
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import castai
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.helm import keep_charts
from ansible_collections.castai.onboarding.plugins.plugin_utils._vaulted import in_chart_values

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, where every text may be a template
    trust_as_template = str

PROVIDER = "castai_provider"


def _providers() -> Collection[Provider]:
    """The providers of the running play's hosts; all providers if a host names none, or names it with a template.

    Ansible only passes hosts to action plugins after it has forked. It loads the plugins' files before that, while the
    strategy that runs the play is somewhere on the stack.
    """
    with contextlib.suppress(Exception):
        strategy, play = _running()
        hosts = strategy._inventory.get_hosts(play.hosts)
        named = {strategy._variable_manager.get_vars(play=play, host=host).get(PROVIDER) for host in hosts}
        return [PROVIDERS[key] for key in named]
    return PROVIDERS.values()


def _running() -> tuple[Any, Any]:
    """The running strategy and its play. Raises LookupError if there is none."""
    frame = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
        strategy, iterator = frame.f_locals.get("self"), frame.f_locals.get("iterator")
        if isinstance(strategy, StrategyBase) and isinstance(iterator, PlayIterator):
            return strategy, iterator._play
    raise LookupError


# The statements, filters and tests of the roles' templates.
_TEMPLATE = """
{%- set parts = {} -%}
{%- for it in [{'a': 'b'}] | selectattr('a', 'defined') | rejectattr('a', 'in', []) | map(attribute='a') | list -%}
{%- set _added = parts.update({it | trim: it | regex_replace('a', 'b')}) if it is match('b') or it is search('b') -%}
{%- endfor -%}
{{ [parts | combine({}, recursive=true)] | map('string') | select('equalto', 'a') | unique | join | default('', true) }}
"""


def _read_ahead_for_templates() -> None:
    """Load Jinja's lexer, filters and tests, which Ansible would load again in each fork that uses them first."""
    Templar(loader=None).template(trust_as_template(_TEMPLATE))


# Ansible imports this before it forks for each task on each host. Everything read here is needed until the end, so it
# is taken out of garbage collection: collecting it would copy its pages in every fork and take a second in the end.
castai.read_ahead()
for read_ahead in {provider.read_ahead for provider in _providers()}:
    read_ahead()
_read_ahead_for_templates()
gc.collect()
gc.freeze()

LOCAL = ("local", "ansible.builtin.local", "ansible.legacy.local")


class ReconcileAction(ActionBase):
    """Runs SUBJECT here, or the module of the same name if the task needs another process, user or machine."""

    SUBJECT: ClassVar[AnySubject]
    TRANSFERS_FILES = False
    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        hidden = in_chart_values(self._task.args, variables)
        if self._needs_a_process(variables):
            done = self._execute_module(task_vars=variables, wrap_async=self._task.async_val)
            result.update(remove_values(done, hidden))
        else:
            keep_charts(constants.DEFAULT_LOCAL_TMP)
            result.update(run_task(self.SUBJECT, self._task, self._task.args, _shown_for(variables), hidden))
            _name_host(result, variables)
        return result

    def _needs_a_process(self, variables: dict[str, Any]) -> bool:
        """A task's environment never reaches an action plugin, so a task that has one runs as a module."""
        return bool(
            self._connection.transport not in LOCAL
            or self._connection.become is not None
            or self._task.async_val
            or any(self._task.environment or ())
            or self._other_interpreter(variables)
        )

    def _other_interpreter(self, variables: dict[str, Any]) -> bool:
        """Whether Ansible would use another Python: by the variable, ANSIBLE_PYTHON_INTERPRETER or ansible.cfg."""
        host = self._task.delegate_to
        known = variables["ansible_delegated_vars"][host] if host else variables
        wanted = self._templar.template(constants.config.get_config_value("INTERPRETER_PYTHON", variables=known))
        return bool(wanted) and not wanted.startswith("auto") and wanted != sys.executable


def _name_host(result: dict[str, Any], variables: dict[str, Any]) -> None:
    """Put the host's name into warnings, because Ansible shows equal ones only once.

    Ansible takes a module's warnings out of the result itself, so these stay as they are.
    """
    host = variables.get("inventory_hostname")
    if host and "warnings" in result:
        result["warnings"] = [f"{host}: {warning}" for warning in result["warnings"]]


def _shown_for(variables: dict[str, Any]) -> Report:
    """Shows progress, one line at a time, with the host's name because several hosts may wait at once. It goes to
    standard error, because a callback may write JSON to standard output.
    """
    return lambda line: Display().display(f"  {variables.get('inventory_hostname')}: {line}", stderr=True)
