# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests ask of Google Cloud behind the operator's back, and the initial content of the world's Google Cloud."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..spec import CASTAI_PROJECT, HOME_PROJECT
from ..wire import Cluster
from . import clusters, keys, other_ways, policies, subnets, tokens
from .store import Account, Key, Policy, Principal, Project, Role, Store, new_etag, new_id

SHARED = "acme-shared"
_KINDS = ("accounts", "roles", "services", "keys", "texts")


class Control:
    """The verbs of `World.control("google", ...)`, also called by tests in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._operator: tuple[str, Key] | None = None  # its unique id and key: the same after each reset
        self._clusters: list[Cluster] = []
        self.seed()

    def seed(self) -> None:
        """Two projects of an organization, and an operator who owns both; CAST AI's own project of another one."""
        store = self._store
        store.clear()
        for project, number in ((HOME_PROJECT, "123456789012"), (SHARED, "210987654321")):
            self.add_project(project, number)
        self.add_project(CASTAI_PROJECT, "999888777666", organization="1")
        email = self.add_account(HOME_PROJECT, "operator")
        operator = self._account(email)
        key_pair = store.key_pair()
        if self._operator is None:
            self._operator = operator.unique_id, Key(secrets.token_hex(20), operator.unique_id, key_pair, store.clock())
        operator.unique_id = self._operator[0]
        store.keys.append(self._operator[1])
        for project in (HOME_PROJECT, SHARED):
            self.grant(project, "roles/owner", f"serviceAccount:{email}")
        for cluster in self._clusters:
            self._make_cluster(cluster)

    def operator_key(self) -> str:
        assert self._operator is not None
        return keys.file_of(self._account(self._operator[0]), self._operator[1])

    def do(self, verb: str, args: Mapping[str, Any]) -> Any:
        if verb not in _VERBS:
            raise ValueError(f"google has no verb {verb}: {', '.join(_VERBS)}")
        return _VERBS[verb](self, **args)

    def _account(self, email: str) -> Account:
        found = self._store.account(email)
        if found is None:
            raise ValueError(f"there is no service account {email}")
        return found

    def _project(self, name: str) -> Project:
        found = self._store.project(name)
        if found is None:
            raise ValueError(f"there is no project {name}")
        return found

    def add_cluster(self, cluster: Cluster) -> None:
        self._clusters.append(cluster)
        self._make_cluster(cluster)

    def _make_cluster(self, cluster: Cluster) -> None:
        """Its account is the project, its region the location."""
        project = self._store.project(cluster.account)
        if project is None:
            self.add_project(cluster.account)
            project = self._project(cluster.account)
            self.grant(project.id, "roles/owner", f"serviceAccount:operator@{HOME_PROJECT}.iam.gserviceaccount.com")
        made = clusters.add(self._store, project, cluster)
        self._store.subnets.setdefault(made["networkConfig"]["subnetwork"], Policy())

    # Verbs

    def add_project(self, project: str, number: str = "", organization: str | None = None) -> str:
        """Add a project with its default account and return its number. organization: the number, empty for none."""
        digest = int(hashlib.sha256(project.encode()).hexdigest(), 16)  # the same after each reset
        made = Project(project, number or f"3{digest % 10**11:011d}")
        if organization is not None:
            made.organization = organization
        self._store.projects[project] = made
        default = f"{made.number}-compute@developer.gserviceaccount.com"
        self.add_subnet(project, "europe-west1", "default")
        texts = {"displayName": "Compute Engine default service account"}
        self._store.accounts.append(Account(project, default, f"1{digest % 10**20:020d}", texts))
        return made.number

    def delete_project(self, project: str) -> None:
        """Delete as gcloud projects delete does: for 30 days, only the project's state is shown."""
        self._project(project).going = True

    def add_subnet(self, project: str, region: str, name: str) -> str:
        """Its name, as a cluster's networkConfig has it."""
        found = subnets.name_of(project, region, name)
        self._store.subnets[found] = Policy()
        return found

    def add_account(self, project: str, account_id: str, roles: Sequence[str] = (), **texts: str) -> str:
        """Add a service account with these roles in its project and return its e-mail."""
        found = self._project(project)
        account = Account(project, found.email(account_id), new_id(), dict(texts))
        self._store.accounts.append(account)
        for role in roles:
            self.grant(project, role, f"serviceAccount:{account.email}")
        return account.email

    def own_account(self, project: str, account_id: str) -> tuple[str, str]:
        """E-mail and unique id of an account, created if necessary."""
        email = self._project(project).email(account_id)
        if self._store.account(email) is None:
            self.add_account(project, account_id)
        return email, self._account(email).unique_id

    def add_key(self, email: str, **fields: Any) -> str:
        """Add a key to an account, regardless of the limit, and return the text of its file. fields: as keys.list shows
        them."""
        account = self._account(email)
        key = keys.make(self._store, account)
        key.fields = fields
        return keys.file_of(account, key)

    def set_key(self, key_id: str, ends: float | None = None, **fields: Any) -> None:
        """Change a key, for example disabled=True, disableReason=..., or ends: in how many seconds it expires."""
        key = next(one for one in self._store.keys if one.id == key_id)
        key.fields = {**key.fields, **fields}
        if ends is not None:
            key.ends = self._store.clock() + ends

    def token(self, member: str, scopes: Sequence[str] = (tokens.CLOUD, tokens.EMAIL), life: float = 3600) -> str:
        """Create an access token for a member, such as user:me@example.com or an account of the world."""
        kind, _colon, email = member.partition(":")
        unique_id = self._account(email).unique_id if kind == "serviceAccount" else ""
        return tokens.issue(self._store, Principal(member, unique_id, frozenset(scopes)), life)

    def id_token(self, email: str, audience: str) -> str:
        """Create an OpenID Connect token for an account."""
        return tokens.issue_id(self._store, self._account(email), audience)

    def add_role(self, project: str, role_id: str, permissions: Sequence[str], **said: Any) -> str:
        """Create or replace a custom role and return its name."""
        name = f"projects/{project}/roles/{role_id}"
        self._store.roles = [role for role in self._store.roles if role.name != name]
        said = {"title": role_id, "stage": "GA", **said, "includedPermissions": list(permissions)}
        self._store.roles.append(Role(name, said, new_etag()))
        return name

    def grant(self, project: str, role: str, member: str, condition: Mapping[str, str] | None = None) -> None:
        """Add a member to the policy of a project, or of an account by its e-mail, as another person would."""
        self._edit(project, lambda bindings: self._granted(bindings, role, member, condition))

    def revoke(self, project: str, role: str, member: str) -> None:
        """Remove a member from all bindings of the role."""

        def edit(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
            for binding in bindings:
                if binding["role"] == role:
                    binding["members"] = [one for one in binding["members"] if one != member]
            return bindings

        self._edit(project, edit)

    def set_policy(self, project: str, bindings: Sequence[Mapping[str, Any]], audits: Sequence[Any] = ()) -> None:
        """Replace the project's policy."""
        self._edit(project, lambda _before: [dict(one) for one in bindings])
        self._policy(project).audit_configs = list(audits)

    def _granted(
        self, bindings: list[dict[str, Any]], role: str, member: str, condition: Mapping[str, str] | None
    ) -> list[dict[str, Any]]:
        for binding in bindings:
            if binding["role"] == role and binding.get("condition") == condition:
                binding["members"] = [*binding["members"], *([] if member in binding["members"] else [member])]
                return bindings
        return [*bindings, {"role": role, "members": [member], **({"condition": condition} if condition else {})}]

    def _policy(self, of: str) -> Policy:
        return self._account(of).policy if "@" in of else self._project(of).policy

    def _edit(self, of: str, edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        policy = self._policy(of)
        project = self._project(self._account(of).project if "@" in of else of)
        bindings = edit(policies.read(self._store, policy, 3).get("bindings", []))
        policies.write(self._store, policy, project, {"version": 3, "bindings": bindings}, "", "control")

    def set_constraint(self, project: str, constraint: str, value: Any = None) -> None:
        """Set an organization policy: true, {"allowed": [...]} or {"denied": [...]}; None removes it."""
        constraints = self._project(project).constraints
        constraints.pop(constraint, None)
        if value is not None:
            constraints[constraint] = value

    def set_services(self, project: str, on: Sequence[str] = (), off: Sequence[str] = ()) -> None:
        """Turn APIs on and off, such as iam.googleapis.com."""
        found = self._project(project).services
        found.update(on)
        found.difference_update(off)

    def set_cluster(self, project: str, location: str, name: str, **fields: Any) -> None:
        """Change how a cluster is described, for example status="PROVISIONING"; None removes a field."""
        cluster = self._store.clusters[clusters.name_of(project, location, name)]
        cluster.update(fields)
        for field in [field for field, value in fields.items() if value is None]:
            del cluster[field]

    def behave(self, **changes: Any) -> None:
        """How it answers from now on; None ends it.

        unseen_is_forbidden: what is not visible yet answers 403, not 404. bare_key_limit: the eleventh key is refused
        without a reason. enabling_fails: the error, {code, message}, in which the next enabling ends. machine: {email,
        scopes} of the metadata server. refresh_tokens, subject_tokens: of which user or subject they are.
        """
        for name, value in changes.items():
            self._store.behavior.pop(name, None)
            if value is not None:
                self._store.behavior[name] = value

    def visibility(
        self, uses: int = 0, seconds: float = 0.0, kinds: Sequence[str] = _KINDS, grants: float = 0.0
    ) -> None:
        """Hide what is made from now on: from the first `uses` calls of each operation, or for so many virtual seconds.

        kinds: accounts, roles, services, keys, and texts, which show what was before. grants: for how many virtual
        seconds policies are decided as they were.
        """
        self._store.visibility.set(uses, seconds)
        self._store.hidden_kinds = frozenset(kinds)
        self._store.grants_after = grants

    def leave_other_way(self, cluster: str, location: str, vintage: str, own: str = "") -> dict[str, str]:
        """Create what another way of onboarding leaves behind (other_ways.py). own: CAST AI's account, which
        impersonates."""
        found = next((one for one in self._clusters if (one.name, one.region) == (cluster, location)), None)
        if found is None:
            raise ValueError(f"this world has no cluster {cluster} in {location}")
        nodes = f"{self._project(found.account).number}-compute@developer.gserviceaccount.com"
        return other_ways.leave(
            lambda verb, **args: self.do(verb, args), found, vintage, self._account(nodes).unique_id, own
        )

    def secrets(self) -> dict[str, list[str]]:
        """The private keys of all accounts, as PEM, and all issued tokens."""
        return {"keys": [one.pem for one in self._store.keys], "tokens": [*self._store.tokens]}

    def delete_account(self, email: str) -> None:
        self._account(email).deleted_at = self._store.clock()

    def delete_role(self, name: str, days_ago: float = 0.0) -> None:
        """Delete a role, named projects/PROJECT/roles/ID."""
        role = next(one for one in self._store.roles if one.name == name)
        role.deleted_at = self._store.clock() - days_ago * 24 * 3600

    def edit_role(self, name: str, **said: Any) -> None:
        """Change a role as a rival would, with a new etag."""
        role = next(one for one in self._store.roles if one.name == name)
        role.said, role.etag = {**role.said, **said}, new_etag()


_VERBS: Mapping[str, Callable[..., Any]] = {
    name: getattr(Control, name)
    for name in (
        *("add_project", "add_account", "add_key", "set_key", "token", "id_token", "add_role", "grant", "revoke"),
        *("set_policy", "set_constraint", "set_services", "set_cluster", "behave", "visibility", "delete_account"),
        *("delete_role", "edit_role", "operator_key", "secrets", "own_account", "add_subnet", "leave_other_way"),
        "delete_project",
    )
}
