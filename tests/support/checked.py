# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What castai_variables says about a host's variables, with Ansible's own templating but without a playbook."""

from __future__ import annotations

from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import connection_loader
from ansible.template import Templar, trust_as_template

from ansible_collections.castai.onboarding.plugins.action.castai_variables import ActionModule

ABSENT = object()
"""Stands for a variable that the host does not have."""


def checked(no_log: bool = False, check_mode: bool = False, **variables: Any) -> dict[str, Any]:
    """The action's result on a host with these variables; texts in them are templates."""
    loader, variables = DataLoader(), {"castai_provider": "eks", **variables}
    variables = {name: value for name, value in variables.items() if value is not ABSENT}
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in variables.items()}
    task = Task()
    task.no_log, task.check_mode = no_log, check_mode
    context = PlayContext()
    return ActionModule(
        task, connection_loader.get("local", context), context, loader, Templar(loader, variables=trusted), None
    ).run(task_vars=trusted)
