# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.castai.onboarding.plugins.module_utils._azure.aks_app import SUBJECT
from ansible_collections.castai.onboarding.plugins.plugin_utils._action import ReconcileAction


class ActionModule(ReconcileAction):
    SUBJECT = SUBJECT
