# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Google's IAM: service accounts with their keys and policies, and custom roles; for class Google. PRIVATE to the
collection."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._answers import Odd, objects_in, text_in
from .google_projects import granted_in, policy_in
from .google_session import Answer, Session
from .https import Call

_ACCOUNTS = "/v1/projects/{project}/serviceAccounts"
_ACCOUNT = f"{_ACCOUNTS}/{{account}}"
_ROLES = "/v1/projects/{project}/roles"
_ROLE = f"{_ROLES}/{{role}}"


def _call(
    purpose: str, method: str, path: str, permission: str = "", reads: bool = False, repeats: bool = False
) -> Call:
    return Call(purpose, method, "iam", path, (f"iam.{permission}",) if permission else (), reads, repeats)


GET_ACCOUNT = _call("read service account {account}", "GET", _ACCOUNT, "serviceAccounts.get")
LIST_ACCOUNTS = _call("list the service accounts of project {project}", "GET", _ACCOUNTS, "serviceAccounts.list")
CREATE_ACCOUNT = _call("create service account {account}", "POST", _ACCOUNTS, "serviceAccounts.create", repeats=True)
PATCH_ACCOUNT = _call("change service account {account}", "PATCH", _ACCOUNT, "serviceAccounts.update", repeats=True)
ENABLE_ACCOUNT = _call(
    "enable service account {account}", "POST", f"{_ACCOUNT}:enable", "serviceAccounts.enable", repeats=True
)
DELETE_ACCOUNT = _call("delete service account {account}", "DELETE", _ACCOUNT, "serviceAccounts.delete", repeats=True)
GET_ACCOUNT_POLICY = _call(
    "read the IAM policy of service account {account}",
    "POST",
    f"{_ACCOUNT}:getIamPolicy",
    "serviceAccounts.getIamPolicy",
    reads=True,
)
SET_ACCOUNT_POLICY = _call(
    "write the IAM policy of service account {account}",
    "POST",
    f"{_ACCOUNT}:setIamPolicy",
    "serviceAccounts.setIamPolicy",
)
TEST_ACCOUNT_PERMISSIONS = _call(
    "check the permissions on service account {account}", "POST", f"{_ACCOUNT}:testIamPermissions", reads=True
)
LIST_KEYS = _call("list the keys of service account {account}", "GET", f"{_ACCOUNT}/keys", "serviceAccountKeys.list")
CREATE_KEY = _call(
    "create a key for service account {account}", "POST", f"{_ACCOUNT}/keys", "serviceAccountKeys.create"
)
DELETE_KEY = _call(
    "delete key {key} of service account {account}",
    "DELETE",
    f"{_ACCOUNT}/keys/{{key}}",
    "serviceAccountKeys.delete",
    repeats=True,
)
GET_ROLE = _call("read custom role {role}", "GET", _ROLE, "roles.get")
CREATE_ROLE = _call("create custom role {role}", "POST", _ROLES, "roles.create", repeats=True)
PATCH_ROLE = _call("change custom role {role}", "PATCH", _ROLE, "roles.update", repeats=True)
UNDELETE_ROLE = _call("undelete custom role {role}", "POST", f"{_ROLE}:undelete", "roles.undelete", repeats=True)
DELETE_ROLE = _call("delete custom role {role}", "DELETE", _ROLE, "roles.delete", repeats=True)
CALLS = (
    GET_ACCOUNT,
    LIST_ACCOUNTS,
    CREATE_ACCOUNT,
    PATCH_ACCOUNT,
    ENABLE_ACCOUNT,
    DELETE_ACCOUNT,
    GET_ACCOUNT_POLICY,
    SET_ACCOUNT_POLICY,
    TEST_ACCOUNT_PERMISSIONS,
    LIST_KEYS,
    CREATE_KEY,
    DELETE_KEY,
    GET_ROLE,
    CREATE_ROLE,
    PATCH_ROLE,
    UNDELETE_ROLE,
    DELETE_ROLE,
)

USER_MANAGED = "USER_MANAGED"
_KEY = {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "keyAlgorithm": "KEY_ALG_RSA_2048"}


@dataclass(frozen=True)
class ServiceAccount:
    """unique_id: its number, which a new account with the same e-mail address would not get."""

    email: str
    unique_id: str
    display_name: str
    description: str
    disabled: bool
    project: str

    @classmethod
    def parse(cls, body: Answer) -> ServiceAccount:
        email, unique_id = text_in(body, "email"), text_in(body, "uniqueId")
        if not (email and unique_id):
            raise Odd("field email or uniqueId is not set")
        return cls(
            email,
            unique_id,
            text_in(body, "displayName"),
            text_in(body, "description"),
            body.get("disabled") is True,
            text_in(body, "projectId"),
        )


@dataclass(frozen=True)
class AccountKey:
    """created, expires: in Google's format. origin: GOOGLE_PROVIDED, USER_PROVIDED. state: why it is disabled, or what
    Google found out about it."""

    id: str
    created: str
    expires: str
    disabled: bool
    origin: str
    state: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: Answer) -> AccountKey:
        key = text_in(body, "name").rpartition("/")[2]
        if not key:
            raise Odd("field name is not set")
        extended = [text_in(one, "key") for one in objects_in(body, "extendedStatus")]
        return cls(
            key,
            text_in(body, "validAfterTime"),
            text_in(body, "validBeforeTime"),
            body.get("disabled") is True,
            text_in(body, "keyOrigin"),
            tuple(filter(None, [text_in(body, "disableReason"), *extended])),
        )


@dataclass(frozen=True)
class NewKey:
    """credentials: the text of the key file, which Google returns only once."""

    key: AccountKey
    credentials: str = field(repr=False)


@dataclass(frozen=True)
class CustomRole:
    """name: projects/PROJECT/roles/ID. stage: GA, ...; Google leaves out ALPHA."""

    name: str
    title: str
    description: str
    stage: str
    permissions: frozenset[str]
    etag: str
    deleted: bool

    @classmethod
    def parse(cls, body: Answer) -> CustomRole:
        permissions = body.get("includedPermissions") or []
        if not isinstance(permissions, list) or not all(isinstance(one, str) for one in permissions):
            raise Odd("field includedPermissions is not a list of strings")
        return cls(
            text_in(body, "name"),
            text_in(body, "title"),
            text_in(body, "description"),
            text_in(body, "stage") or "ALPHA",
            frozenset(permissions),
            text_in(body, "etag"),
            body.get("deleted") is True,
        )


class Iam(Session):
    """Service accounts and custom roles. account: e-mail address or unique ID. project: ID or number.

    Reading something that does not exist returns None. Creating something that exists raises Conflict.
    """

    def get_account(self, project: str, account: str) -> ServiceAccount | None:
        found: ServiceAccount | None = self.send(
            GET_ACCOUNT, absent=True, read=ServiceAccount.parse, project=project, account=account
        )
        return found

    def list_accounts(self, project: str) -> tuple[str, ...]:
        """The addresses of all accounts in the project."""
        emails: list[str] = []
        query = [("pageSize", "100")]
        while True:
            found, token = self.send(LIST_ACCOUNTS, query=query, read=_page, project=project)
            emails += found
            if not token:
                return tuple(emails)
            query = [("pageSize", "100"), ("pageToken", token)]

    def create_account(self, project: str, account_id: str, display_name: str, description: str) -> ServiceAccount:
        """account_id: the part before the @."""
        body = {
            "accountId": account_id,
            "serviceAccount": {"displayName": display_name, "description": description},
        }
        made: ServiceAccount = self.send(
            CREATE_ACCOUNT, body, read=ServiceAccount.parse, project=project, account=account_id
        )
        return made

    def patch_account(self, project: str, account: str, texts: Mapping[str, str]) -> None:
        """texts: displayName, description. What is not given is not changed."""
        body = {"serviceAccount": dict(texts), "updateMask": ",".join(texts)}
        self.send(PATCH_ACCOUNT, body, project=project, account=account)

    def enable_account(self, project: str, account: str) -> None:
        self.send(ENABLE_ACCOUNT, {}, project=project, account=account)

    def delete_account(self, project: str, account: str) -> None:
        """Delete the account. If it is already gone, that is a success."""
        self.send(DELETE_ACCOUNT, absent=True, project=project, account=account)

    def get_account_policy(self, project: str, account: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.send(
            GET_ACCOUNT_POLICY,
            query=[("options.requestedPolicyVersion", "3")],
            absent=True,
            read=policy_in,
            project=project,
            account=account,
        )
        return found

    def set_account_policy(self, project: str, account: str, policy: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Conflict if somebody else wrote the policy after it was read."""
        found: dict[str, Any] = self.send(
            SET_ACCOUNT_POLICY, {"policy": dict(policy)}, read=policy_in, project=project, account=account
        )
        return found

    def test_account_permissions(self, project: str, account: str, permissions: Collection[str]) -> frozenset[str]:
        """The permissions that the caller has on the account."""
        granted: tuple[str, ...] = self.send(
            TEST_ACCOUNT_PERMISSIONS,
            {"permissions": sorted(permissions)},
            read=granted_in,
            project=project,
            account=account,
        )
        return frozenset(granted)

    def list_keys(self, project: str, account: str) -> tuple[AccountKey, ...]:
        """The keys that users manage. Empty if the account does not exist."""
        found: tuple[AccountKey, ...] | None = self.send(
            LIST_KEYS,
            query=[("keyTypes", USER_MANAGED)],
            absent=True,
            read=lambda body: tuple(map(AccountKey.parse, objects_in(body, "keys"))),
            project=project,
            account=account,
        )
        return found or ()

    def create_key(self, project: str, account: str) -> NewKey:
        made: NewKey = self.send(CREATE_KEY, _KEY, read=_new_key, project=project, account=account)
        return made

    def delete_key(self, project: str, account: str, key: str) -> None:
        """Delete the key. If it is already gone, that is a success."""
        self.send(DELETE_KEY, absent=True, project=project, account=account, key=key)

    def get_role(self, project: str, role: str) -> CustomRole | None:
        """The role. A deleted one can still be read for some time."""
        found: CustomRole | None = self.send(GET_ROLE, absent=True, read=CustomRole.parse, project=project, role=role)
        return found

    def create_role(self, project: str, role: str, wanted: Mapping[str, Any]) -> CustomRole:
        """wanted: title, description, includedPermissions, stage."""
        body = {"roleId": role, "role": dict(wanted)}
        made: CustomRole = self.send(CREATE_ROLE, body, read=CustomRole.parse, project=project, role=role)
        return made

    def patch_role(self, project: str, role: str, wanted: Mapping[str, Any], etag: str = "") -> CustomRole:
        """wanted: the fields to change. Raises Conflict if somebody else wrote the role after it was read."""
        body = {**wanted, **({"etag": etag} if etag else {})}
        query = [("updateMask", ",".join(wanted))]
        changed: CustomRole = self.send(PATCH_ROLE, body, query, read=CustomRole.parse, project=project, role=role)
        return changed

    def undelete_role(self, project: str, role: str, etag: str = "") -> CustomRole:
        body = {"etag": etag} if etag else {}
        found: CustomRole = self.send(UNDELETE_ROLE, body, read=CustomRole.parse, project=project, role=role)
        return found

    def delete_role(self, project: str, role: str, etag: str = "") -> None:
        """Delete the role. If it is already gone, that is a success. Its ID stays taken for weeks."""
        query = [("etag", etag)] if etag else []
        self.send(DELETE_ROLE, query=query, absent=True, project=project, role=role)


def _page(body: Answer) -> tuple[list[str], str]:
    """The addresses on a page, and the token for the next page, empty after the last one."""
    return [text_in(one, "email") for one in objects_in(body, "accounts")], text_in(body, "nextPageToken")


def _new_key(body: Answer) -> NewKey:
    data = body.get("privateKeyData")
    try:
        credentials = base64.b64decode(data if isinstance(data, str) else "", validate=True).decode()
    except ValueError:
        credentials = ""
    if not credentials:
        raise Odd("field privateKeyData is not base64-encoded text")
    return NewKey(AccountKey.parse(body), credentials)
