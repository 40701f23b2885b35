# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of service accounts: at most ten per account, subject to organization policies, private half shown once."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any
from urllib.parse import quote

from .access import account_resource, require
from .accounts import find
from .errors import GoogleError, constrained
from .store import NO_END, Account, Asked, Key, Project, Store, as_time

PER_ACCOUNT = 10
_HOURS = "constraints/iam.serviceAccountKeyExpiryHours"


def make(store: Store, account: Account) -> Key:
    """A key that is valid until the organization's policy ends it."""
    hours = store.projects[account.project].constraints.get(_HOURS)
    now = store.clock()
    ends = now + int(hours["allowed"][0].removesuffix("h")) * 3600 if hours else None
    key = Key(secrets.token_hex(20), account.unique_id, store.key_pair(), now, ends)
    store.keys.append(key)
    return key


def file_of(account: Account, key: Key) -> str:
    """The text of a key's file, as Google writes it."""
    fields = {
        "type": "service_account",
        "project_id": account.project,
        "private_key_id": key.id,
        "private_key": key.pem,
        "client_email": account.email,
        "client_id": account.unique_id,
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
        "client_x509_cert_url": f"https://www.googleapis.com/robot/v1/metadata/x509/{quote(account.email, safe='')}",
        "universe_domain": "googleapis.com",
    }
    return json.dumps(fields, indent=2) + "\n"


def shown(account: Account, key: Key) -> dict[str, Any]:
    return {
        "name": f"{account.name}/keys/{key.id}",
        "validAfterTime": as_time(key.created),
        "validBeforeTime": NO_END if key.ends is None else as_time(key.ends),
        "keyAlgorithm": "KEY_ALG_RSA_2048",
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": "USER_MANAGED",
        **key.fields,
    }


def of(store: Store, account: Account) -> list[Key]:
    """The users' own, not Google's."""
    return [key for key in store.keys if key.owner == account.unique_id]


def list_keys(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccountKeys.list")
    wanted = asked.query.get("keyTypes", ["USER_MANAGED", "SYSTEM_MANAGED"])
    own = [key for key in of(asked.store, account) if not asked.store.hides("keys", key.id, asked.method)]
    found = [shown(account, key) for key in own] if "USER_MANAGED" in wanted else []
    if "SYSTEM_MANAGED" in wanted:
        googles = Key(f"{int(account.unique_id):040x}", account.unique_id, asked.store.key_pair(), 0.0)
        found.append({**shown(account, googles), "keyType": "SYSTEM_MANAGED"})
    return {"keys": found} if found else {}


def create(asked: Asked) -> Any:
    account, store = find(asked, "iam.serviceAccountKeys.create"), asked.store
    _check_allowed(store.projects[account.project], account)
    if len(of(store, account)) >= PER_ACCOUNT:
        if store.behavior.get("bare_key_limit"):
            raise GoogleError("FAILED_PRECONDITION", "Precondition check failed.")
        raise GoogleError("RESOURCE_EXHAUSTED", "Maximum number of keys on account reached.")
    key = make(store, account)
    store.note("keys", key.id)
    data = base64.b64encode(file_of(account, key).encode()).decode()
    return {**shown(account, key), "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "privateKeyData": data}


def _check_allowed(project: Project, account: Account) -> None:
    for constraint in ("iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation"):
        if project.constraints.get(f"constraints/{constraint}") is True:
            said = "Key creation is not allowed on this service account."
            raise constrained(f"constraints/{constraint}", account.name, said)


def _key(asked: Asked, permission: str) -> tuple[Account, Key]:
    account = find(asked, permission)
    key_id = asked.path["name"].rpartition("/")[2]
    found = next((key for key in of(asked.store, account) if key.id == key_id), None)
    if found is None or asked.store.hides("keys", key_id, asked.method):
        require(asked.store, asked.caller, account_resource(asked.store, account), permission, account.name, "iam")
        raise GoogleError("NOT_FOUND", f"Service account key {key_id} does not exist.")
    return account, found


def get(asked: Asked) -> Any:
    return shown(*_key(asked, "iam.serviceAccountKeys.get"))


def delete(asked: Asked) -> Any:
    asked.store.keys.remove(_key(asked, "iam.serviceAccountKeys.delete")[1])
    return {}


def disable(asked: Asked) -> Any:
    key = _key(asked, "iam.serviceAccountKeys.disable")[1]
    reason = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED"
    key.fields = {**key.fields, "disabled": True, "disableReason": reason}
    return {}


def enable(asked: Asked) -> Any:
    key = _key(asked, "iam.serviceAccountKeys.enable")[1]
    key.fields = {name: value for name, value in key.fields.items() if name not in ("disabled", "disableReason")}
    return {}


HANDLERS = {
    "iam.projects.serviceAccounts.keys.list": list_keys,
    "iam.projects.serviceAccounts.keys.create": create,
    "iam.projects.serviceAccounts.keys.get": get,
    "iam.projects.serviceAccounts.keys.delete": delete,
    "iam.projects.serviceAccounts.keys.disable": disable,
    "iam.projects.serviceAccounts.keys.enable": enable,
}
