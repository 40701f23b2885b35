# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IAM's service accounts: updates, deletion and undeletion, and who may act as them."""

from __future__ import annotations

import re
from typing import Any

from . import policies
from .access import account_resource, held, project_resource, require
from .catalog import PERMISSIONS
from .errors import GoogleError, constrained, denied, invalid
from .store import Account, Asked, Project, new_id

PER_PROJECT = 100
_ID = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])")
_LENGTHS = {"displayName": 100, "description": 256}  # bytes
_CHANGEABLE = {"displayName": "displayName", "display_name": "displayName", "description": "description"}


def find(asked: Asked, permission: str, parameter: str = "name", deleted: bool = False) -> Account:
    """The account in the path, if the caller has the permission. Raises GoogleError.

    deleted: a deleted account, named by its unique id.
    """
    _projects, project_id, _accounts, name = asked.path[parameter].split("/")[:4]
    store = asked.store
    account = store.deleted_account(name) if deleted else store.account(name, project_id)
    shown = "/".join(asked.path[parameter].split("/")[:4])
    if account is not None:
        require(store, asked.caller, account_resource(store, account), permission, shown, "iam")
        if not store.hides("accounts", account.unique_id, asked.method):
            return account
        if store.behavior.get("unseen_is_forbidden"):
            raise denied("iam", permission, shown)
    elif project_id == "-":
        raise denied("iam", permission, shown)
    else:
        require(store, asked.caller, project_resource(store, asked.project()), permission, shown, "iam")
    raise GoogleError("NOT_FOUND", "Unknown service account")


def shown(account: Account, texts: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": account.name,
        "projectId": account.project,
        "uniqueId": account.unique_id,
        "email": account.email,
        "oauth2ClientId": account.unique_id,
        "etag": "MDEwMjE5MjA=",
        **{name: text for name, text in (texts or account.texts).items() if text},
    }
    if account.disabled:
        found["disabled"] = True
    return found


def get(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.get")
    if account.told and asked.store.hides("texts", account.unique_id, asked.method):
        return shown(account, account.told)
    return shown(account)


def list_accounts(asked: Asked) -> Any:
    project = asked.project()
    require_in(asked, project, "iam.serviceAccounts.list")
    found = sorted(asked.store.accounts_of(project.id), key=lambda one: one.email)
    size, start = int(asked.one("pageSize", "20")) or 20, int(asked.one("pageToken", "0"))
    more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    return {"accounts": [shown(one) for one in found[start : start + size]], **more}


def require_in(asked: Asked, project: Project, permission: str) -> None:
    require(
        asked.store,
        asked.caller,
        project_resource(asked.store, project),
        permission,
        f"projects/{project.id}",
        "iam",
    )


def create(asked: Asked) -> Any:
    project, store = asked.project(), asked.store
    require_in(asked, project, "iam.serviceAccounts.create")
    account_id = asked.body["accountId"]
    if not 6 <= len(account_id) <= 30 or not _ID.fullmatch(account_id):
        raise invalid(f'The account ID "{account_id}" does not have a length between 6 and 30.')
    for constraint in ("iam.disableServiceAccountCreation", "iam.managed.disableServiceAccountCreation"):
        if project.constraints.get(f"constraints/{constraint}") is True:
            said = "Service account creation is not allowed on this project."
            raise constrained(f"constraints/{constraint}", f"projects/{project.id}", said)
    email = project.email(account_id)
    if store.account(email):
        said = f"Service account {account_id} already exists within project projects/{project.id}."
        raise GoogleError("ALREADY_EXISTS", said)
    if len(list(store.accounts_of(project.id))) >= PER_PROJECT:
        raise GoogleError("RESOURCE_EXHAUSTED", "Maximum number of service accounts on project reached.")
    account = Account(project.id, email, new_id(), _texts(asked.body.get("serviceAccount", {}), _LENGTHS))
    store.accounts.append(account)
    store.note("accounts", account.unique_id)
    return shown(account)


def _texts(given: dict[str, Any], fields: Any) -> dict[str, str]:
    texts = {name: given.get(name, "") for name in fields}
    for name, text in texts.items():
        if len(text.encode()) > _LENGTHS[name]:
            raise invalid(f"The {name} is longer than {_LENGTHS[name]} bytes.", (f"service_account.{name}", "too long"))
    return texts


def patch(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.update")
    mask = [one for one in asked.body.get("updateMask", "").split(",") if one]
    if not mask or set(mask) - set(_CHANGEABLE):
        raise invalid("The update mask must have at least one of display_name and description, and nothing else.")
    changed = _texts(asked.body.get("serviceAccount", {}), [_CHANGEABLE[one] for one in mask])
    account.told = account.texts
    account.texts = {**account.texts, **changed}
    asked.store.note("texts", account.unique_id)
    return shown(account)


def delete(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.delete")
    account.deleted_at = asked.store.clock()
    return {}


def undelete(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.undelete", deleted=True)
    if asked.store.account(account.email):
        raise GoogleError("ALREADY_EXISTS", f"Service account {account.email} exists once more.")
    account.deleted_at = None
    return {"restoredAccount": shown(account)}


def disable(asked: Asked) -> Any:
    find(asked, "iam.serviceAccounts.disable").disabled = True
    return {}


def enable(asked: Asked) -> Any:
    find(asked, "iam.serviceAccounts.enable").disabled = False
    return {}


def get_policy(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.getIamPolicy", "resource")
    return policies.read(asked.store, account.policy, int(asked.one("options.requestedPolicyVersion", "0")))


def set_policy(asked: Asked) -> Any:
    account = find(asked, "iam.serviceAccounts.setIamPolicy", "resource")
    project = asked.store.projects[account.project]
    mask = asked.body.get("updateMask", "")
    policies.write(asked.store, account.policy, project, asked.body.get("policy", {}), mask, asked.method)
    return policies.read(asked.store, account.policy, 3)


def test_permissions(asked: Asked) -> Any:
    _projects, project_id, _accounts, name = asked.path["resource"].split("/")
    account = asked.store.account(name, project_id)
    wanted = checked(asked.body.get("permissions", []))
    if account is None:
        raise GoogleError("NOT_FOUND", "Unknown service account")
    has = held(asked.store, asked.caller, account_resource(asked.store, account), wanted)
    return {"permissions": [one for one in wanted if one in has]} if has else {}


def checked(permissions: list[str]) -> list[str]:
    """The permissions that testIamPermissions accepts."""
    if len(permissions) > 100:  # not documented; what clients may rely on
        raise invalid("At most 100 permissions can be tested in a call.")
    for one in permissions:
        if "*" in one:
            raise invalid("Permissions with wildcards (such as '*' or 'storage.*') are not allowed.")
        if one not in PERMISSIONS:
            raise invalid(f"Permission {one} is not valid for this resource.")
    return permissions


HANDLERS = {
    "iam.projects.serviceAccounts.get": get,
    "iam.projects.serviceAccounts.list": list_accounts,
    "iam.projects.serviceAccounts.create": create,
    "iam.projects.serviceAccounts.patch": patch,
    "iam.projects.serviceAccounts.delete": delete,
    "iam.projects.serviceAccounts.undelete": undelete,
    "iam.projects.serviceAccounts.disable": disable,
    "iam.projects.serviceAccounts.enable": enable,
    "iam.projects.serviceAccounts.getIamPolicy": get_policy,
    "iam.projects.serviceAccounts.setIamPolicy": set_policy,
    "iam.projects.serviceAccounts.testIamPermissions": test_permissions,
}
