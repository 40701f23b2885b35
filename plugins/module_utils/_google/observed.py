# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The current state of CAST AI's service account for a GKE cluster, read in three rounds. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, ParamSpec, TypeVar

from .._engine import Answer, Ask, CallFailed, Refused, at_once, results
from .._gateways.castai import CastAi, Cluster, by_options
from .._gateways.google import Google
from .._gateways.google_container import GkeCluster
from .._gateways.google_iam import AccountKey, CustomRole, ServiceAccount
from .._gateways.google_projects import Project
from .._gateways.google_session import SERVICE_DISABLED, Rejected
from .._keys import NO_NOTE, Key, Keys, Note, by_lifetime
from .._owner import choose
from .._variables import named as named_option
from . import names
from .bindings import NODE_ACCOUNTS, ON_ACCOUNTS, Policy, Triple, held_by, held_by_deleted, triples
from .marks import Mark, RoleNote, hashed_account, marked_role, parse_mark, recorded_projects, role_note
from .options import ROLE, Desired

P = ParamSpec("P")
T = TypeVar("T")

MOST_KEYS = 10
"""How many keys IAM allows for one account. Source: IAM's quotas."""

_REASON = "SERVICE_ACCOUNT_KEY_DISABLE_REASON_"


@dataclass(frozen=True)
class Systems:
    castai: CastAi
    google: Google

    def close(self) -> None:
        self.google.close()


def connect(params: Mapping[str, Any], _wanted: Any) -> Systems:
    return Systems(by_options(params), Google(params))


@dataclass(frozen=True)
class MarkedAccount:
    """A service account, and the cluster that its description names."""

    account: ServiceAccount

    @property
    def mark(self) -> Mark:
        return parse_mark(self.account.description)

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [self.mark.cluster_id]))

    @property
    def cluster_name(self) -> str:
        return self.mark.cluster


@dataclass(frozen=True)
class MarkedRole:
    """A custom role, and the cluster that its description names."""

    role: CustomRole

    @property
    def cluster_ids(self) -> frozenset[str]:
        return frozenset(filter(None, [marked_role(self.role.description)]))

    @property
    def cluster_name(self) -> str:
        return ""


@dataclass(frozen=True)
class CastAccount:
    """CAST AI's account, with the address that it has or will have. found: None if absent. maker: the other tool that
    uses this address. keys: those that users manage. policy: who may use the account."""

    email: str = ""
    found: MarkedAccount | None = None
    maker: str = ""
    keys: tuple[AccountKey, ...] = ()
    policy: Policy = field(default_factory=dict)

    @property
    def account_id(self) -> str:
        return self.email.partition("@")[0]

    @property
    def member(self) -> str:
        return names.member(self.email)


@dataclass(frozen=True)
class ProjectState:
    """Our objects in a project. roles: by ID."""

    policy: Policy = field(default_factory=dict)
    roles: Mapping[str, CustomRole] = field(default_factory=dict)


@dataclass(frozen=True)
class Current:
    """The current state. record: None if absent. off: services that are not enabled. former: projects that
    extra_projects no longer lists, None for one that could not be read. node_accounts: the accounts of the cluster's
    nodes by address, None for one that was not read. account_policies: who may use the accounts that our account uses
    or used. former_accounts: other accounts that CAST AI had before; found: None for one of the user's. gone: deleted
    ones, as members of policies. unshown: with an existing account, others with our names that nothing shows whose they
    are. unlisted: whether the project's other accounts could not be listed. subnets: who may use the subnets of a
    Shared VPC, by name."""

    project: Project
    cluster: GkeCluster | None
    record: Cluster | None
    now: datetime
    off: tuple[str, ...] = ()
    account: CastAccount = field(default_factory=CastAccount)
    home: ProjectState = field(default_factory=ProjectState)
    extra: Mapping[str, ProjectState] = field(default_factory=dict)
    former: Mapping[str, ProjectState | None] = field(default_factory=dict)
    node_accounts: Mapping[str, ServiceAccount | None] = field(default_factory=dict)
    account_policies: Mapping[str, Policy] = field(default_factory=dict)
    former_accounts: tuple[CastAccount, ...] = ()
    gone: frozenset[str] = frozenset()
    unshown: tuple[str, ...] = ()
    unlisted: bool = False
    subnets: Mapping[str, Policy] = field(default_factory=dict)

    @property
    def credentials_id(self) -> str:
        return self.record.credentials_id if self.record else ""

    @property
    def client_account(self) -> str:
        """The account that CAST AI uses without a key, according to its record. Empty for none."""
        return self.record.facts.get("clientServiceAccount", "") if self.record else ""

    @property
    def cast_account(self) -> str:
        """CAST AI's own account, which impersonates client_account."""
        return self.record.facts.get("castServiceAccount", "") if self.record else ""

    @property
    def held(self) -> tuple[Triple, ...]:
        """The project's bindings of our account."""
        return held_by(self.home.policy, self.account.member)

    def left_by_deleted(self, policy: Policy) -> tuple[Triple, ...]:
        """Bindings left over from a deleted account with the same address, or one that the cluster had before."""
        others = (one for one in triples(policy) if one.member in self.gone)
        return tuple(dict.fromkeys((*held_by_deleted(policy, self.account.member), *others)))

    @property
    def keys(self) -> Keys:
        found = self.account.found
        note = Note(found.mark.key, found.mark.credentials) if found else NO_NOTE
        keys = tuple(key_state(key, self.now) for key in self.account.keys)
        return Keys(keys, MOST_KEYS, note, credentials_id=self.credentials_id)


def key_state(key: AccountKey, now: datetime) -> Key:
    """Whether a key is dead or due for renewal, and why."""
    if key.disabled:
        reasons = ", ".join(one.removeprefix(_REASON).replace("_", " ").lower() for one in key.state)
        return Key(key.id, f"which is disabled ({reasons})" if reasons else "which is disabled")
    return by_lifetime(key.id, key.created, key.expires, now)


def unless_off(call: Callable[P, T]) -> Callable[P, T | None]:
    """The same read, but None if the service is not enabled, so that nothing can exist."""

    def read(*arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return call(*arguments, **named)
        except Rejected as refusal:
            if refusal.problem.reason != SERVICE_DISABLED:
                raise
            return None

    return read


def unless_forbidden(call: Callable[P, T]) -> Callable[P, T | None]:
    """The same read, but None if Google does not allow it."""

    def read(*arguments: P.args, **named: P.kwargs) -> T | None:
        try:
            return call(*arguments, **named)
        except Rejected as refusal:
            if not refusal.forbidden:
                raise
            return None

    return read


def in_project(call: Callable[P, T], advice: str) -> Callable[P, T]:
    """The same read. advice: what to do if the project does not exist."""

    def read(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return call(*arguments, **named)
        except Rejected as refusal:
            raise refusal.unless_gone(advice) from refusal

    return read


def or_failure(call: Callable[P, T]) -> Callable[P, T | CallFailed]:
    """The same read, but its failure as a value."""

    def read(*arguments: P.args, **named: P.kwargs) -> T | CallFailed:
        try:
            return call(*arguments, **named)
        except CallFailed as failure:
            return failure

    return read


def _unless_going(answer: Any, project: Project) -> Any:
    """What was read in a project, None if the project is being deleted. Raises CallFailed."""
    if isinstance(answer, CallFailed) and not project.going:
        raise answer
    return None if project.going else answer


def observe(gateway: Systems, wanted: Desired) -> Current:
    # Whoever hands over an existing account may remove one of ours with all its bindings.
    return _observe(gateway, wanted, wanted.whole or bool(wanted.existing_account))


def _observe(gateway: Systems, wanted: Desired, whole: bool) -> Current:
    """Read the current state.

    Round 1: cluster, CAST AI's record, project, services. Round 2: accounts, roles and policies by name. Round 3: keys
    and policies of accounts, bound roles, and the other projects that the roles' descriptions name. Further rounds are
    only needed because role_id changed: for the role that the cluster had before, and for projects that nothing but a
    bound role names.

    Other accounts of ours are looked for as well, as CAST AI may have had one before.

    What earlier options may have left behind is looked for only as far as Google allows it. If the project is being
    deleted, only what a removal may find in other projects is read.
    """
    google, castai = gateway.google, gateway.castai
    get_role, get_account = unless_off(google.get_role), unless_off(google.get_account)
    get_policy, get_account_policy = unless_off(google.get_policy), unless_off(google.get_account_policy)
    with at_once() as ask:
        cluster = ask.when(whole, or_failure(google.get_cluster), wanted.project, wanted.location, wanted.name)
        record = ask.known(castai.get_cluster, wanted.cluster_id)
        get_project = in_project(unless_off(google.get_project), f"correct {named_option('project')}")
        named = ask(get_project, wanted.project)
        services = wanted.whole and wanted.present
        enabled = ask.when(services, or_failure(google.enabled_services), wanted.project, wanted.services)
    project = named.result() or Project(wanted.project, "", "")
    if project.going and wanted.present:
        raise Refused(
            f"Project {project.project} is being deleted. Restore it (gcloud projects undelete {project.project}), or"
            f" correct {named_option('project')}."
        )
    here = not project.going
    shown, on = (_unless_going(one.result(), project) for one in (cluster, enabled))
    off = () if on is None else tuple(one for one in wanted.services if one not in on)
    current = Current(project, shown, record.result(), datetime.now(timezone.utc), off)
    home, candidates = project.project, _candidates(current, wanted)
    nodes = node_emails(current) if whole else ()
    role_ids = _role_ids(wanted) if here else ()
    extra = [(one, role_id) for one in wanted.extra_projects for role_id in wanted.former_role_ids if whole]
    on_accounts = wanted.form == ON_ACCOUNTS
    every = here and wanted.whole and not wanted.existing_account and (on_accounts or not wanted.present)
    of_nodes = get_account_policy if on_accounts else unless_forbidden(get_account_policy)
    get_subnet_policy = unless_off(google.get_subnet_policy)
    of_subnets = get_subnet_policy if wanted.network else unless_forbidden(get_subnet_policy)
    with at_once() as ask:
        policy = ask.when(here, get_policy, home)
        there = (one for one in candidates if not project.going or home_of(one, project) != home)
        by_email = {one: ask.known(get_account, home_of(one, project), one) for one in there}
        formerly_own = _own_candidates(current, wanted) if here and wanted.existing_account else {}
        by_own_name = {one: ask(unless_forbidden(get_account), home, one) for one in formerly_own}
        by_role = {one: ask.known(get_role, home, one) for one in role_ids}
        scoped = own_nodes(nodes, project) if wanted.form == NODE_ACCOUNTS else ()
        by_node = {one: ask(get_account, home_of(one, project), one) for one in scoped}
        on_nodes = {one: ask(of_nodes, home_of(one, project), one) for one in nodes}
        all_accounts = ask.when(every, unless_forbidden(unless_off(google.list_accounts)), home)
        get_extra = in_project(get_policy, f"remove it from {named_option('extra_projects', ROLE)}")
        policies = {one: ask(get_extra, one) for one in wanted.extra_projects if whole}
        in_extra = {one: ask.known(get_role, *one) for one in extra}
        on_subnets = {one: ask(of_subnets, one) for one in _subnets(current, wanted)}
    accounts = {one: MarkedAccount(found) if found else None for one, found in results(by_email).items()}
    email = choose(accounts, candidates, wanted.owner)
    recorded = current.client_account
    if not wanted.present and recorded in accounts and not (accounts[recorded] or accounts.get(email)):
        email = recorded  # a removal that ended before this one may have deleted it
    if project.going:
        email = next(_bound_elsewhere(candidates, results(policies).values()), email)
    found, extra_roles, node_accounts = accounts.get(email), results(in_extra), results(by_node)
    current = replace(
        current,
        account=CastAccount(email, found, candidates[email] if found else ""),
        home=ProjectState(policy.result() or {}, _present(results(by_role))),
        extra={
            one: ProjectState(
                bindings or {}, _present({role_id: role for (of, role_id), role in extra_roles.items() if of == one})
            )
            for one, bindings in results(policies).items()
        },
        node_accounts={one: node_accounts.get(one) for one in nodes},
        unlisted=every and all_accounts.result() is None,
        subnets={one: bindings or {} for one, bindings in results(on_subnets).items()},
    )
    with at_once() as ask:
        bound_to_others = _roles_of_others(current, wanted) if here else ()
        by_binding = {one: ask(unless_forbidden(get_role), home, one) for one in bound_to_others}
    marked = _roles_in(home, {(home, one): role for one, role in by_binding.items()}, wanted)
    current = replace(current, home=replace(current.home, roles={**current.home.roles, **marked}))
    own_accounts = {one: MarkedAccount(own) for one, own in results(by_own_name).items() if own}
    if not wanted.existing_account:
        own_accounts |= {one: own for one, own in accounts.items() if own}
    former_accounts = tuple(_former_accounts(current, wanted, own_accounts))
    if not whole and any(one.found for one in former_accounts):
        return _observe(gateway, wanted, True)
    every_account = (current.account, *former_accounts)
    bound = [role_id for one in every_account for role_id in bound_roles(replace(current, account=one))]
    own_emails = _own_candidates(current, wanted)
    bound += [role_id for one in own_emails for role_id in _left_roles(current, one)]
    further = [one for one in dict.fromkeys(bound) if one not in current.home.roles]
    listed = [one for one in all_accounts.result() or () if one not in (*nodes, email)]
    former = sorted(_former_projects(current, wanted)) if whole else []
    of = home_of(email, project)
    of_users = get_account_policy if wanted.keyless else unless_forbidden(get_account_policy)
    used = wanted.whole if wanted.keyless else wanted.hand_over and bool(current.cast_account)
    notes = role_notes(current, wanted)
    listing = bool(found) and (is_noted(email, notes) or not (wanted.keyless and wanted.existing_account))
    with at_once() as ask:
        keys = ask.when(listing, google.list_keys, of, email)
        with_keys = [one for one in former_accounts if one.found or is_noted(one.email, notes)]
        users_of = {
            one.email: ask(unless_forbidden(get_account_policy), home_of(one.email, project), one.email)
            for one in former_accounts
            if current.cast_account and not one.found
        }
        former_keys = {one.email: ask(google.list_keys, home_of(one.email, project), one.email) for one in with_keys}
        users = ask.when(bool(found) and used, of_users, of, email)
        by_role = {one: ask(get_role, home, one) for one in further}
        on_others = {one: ask(unless_forbidden(get_account_policy), home, one) for one in listed}
        # A role has the same ID in every project.
        in_former = _ask_former(ask, google, wanted, former, (*wanted.former_role_ids, *marked, *further))
        further_in_extra = _ask_roles(ask, google, wanted, current.extra, (*marked, *further))
    ours, theirs = results(former_keys), results(users_of)
    current = replace(
        current,
        account=replace(current.account, keys=keys.result() or (), policy=users.result() or {}),
        former_accounts=tuple(
            replace(one, keys=ours.get(one.email, ()), policy=theirs.get(one.email) or {}) for one in former_accounts
        ),
        unshown=_unshown(current, wanted, own_accounts, former_accounts),
        home=replace(current.home, roles={**current.home.roles, **_present(results(by_role))}),
        extra={
            one: replace(state, roles={**state.roles, **_roles_in(one, further_in_extra, wanted)})
            for one, state in current.extra.items()
        },
        former=_former_states(*in_former, wanted),
        account_policies={one: bindings or {} for one, bindings in (results(on_nodes) | results(on_others)).items()},
    )
    late = sorted(_former_projects(current, wanted) - {*former}) if whole else []
    with at_once() as ask:
        in_former = _ask_former(ask, google, wanted, late, (*wanted.former_role_ids, *own_roles(current, wanted)))
    current = replace(current, former={**current.former, **_former_states(*in_former, wanted)})
    return replace(current, gone=_gone(current, wanted, own_emails))


def _unshown(
    current: Current, wanted: Desired, own: Mapping[str, MarkedAccount], former: Iterable[CastAccount]
) -> tuple[str, ...]:
    known = {current.account.email, *(one.email for one in former)}
    unmarked = (one for one, found in own.items() if not found.cluster_ids)
    return tuple(one for one in unmarked if wanted.existing_account and one not in known)


def _left_roles(current: Current, email: str) -> Iterator[str]:
    """IDs of the project's roles that are still bound to a deleted account with this address."""
    prefix = names.role_name(current.project.project, "")
    for triple in held_by_deleted(current.home.policy, names.member(email)):
        if triple.role.startswith(prefix):
            yield triple.role.removeprefix(prefix)


def _roles_of_others(current: Current, wanted: Desired) -> Iterator[str]:
    """IDs of roles that may be the cluster's former one, bound to a former account: those of all service accounts.

    None while our account has the role that is wanted. A removal looks for all, as nothing may lead to them after it.
    """
    own = wanted.role_ids if wanted.shared else own_roles(current, wanted)
    ids = wanted.role_ids if wanted.role_id or wanted.shared else _role_ids(wanted)
    settled = {*bound_roles(current)}.intersection(own, ids) or not current.credentials_id
    if wanted.present and settled:
        return
    prefix, start = names.role_name(current.project.project, ""), names.member("")
    bound = (one.role for one in triples(current.home.policy) if one.member.startswith(start))
    found = dict.fromkeys(one.removeprefix(prefix) for one in bound if one.startswith(prefix))
    yield from (one for one in found if one not in current.home.roles)


def had_own_account(current: Current, wanted: Desired) -> bool:
    """Whether the project's policy still names a deleted account with one of our addresses."""
    own = map(names.member, _own_candidates(current, wanted))
    return bool(current.gone) or any(held_by_deleted(current.home.policy, member) for member in own)


def _gone(current: Current, wanted: Desired, own: Iterable[str]) -> frozenset[str]:
    """Deleted accounts with our addresses that a role of this cluster is still bound to."""
    role_ids = {*wanted.former_role_ids, *own_roles(current, wanted)} - {names.SHARED_ROLE}
    states = {current.project.project: current.home, **current.extra, **current.former}
    return frozenset(
        triple.member
        for project, state in states.items()
        for email in own
        for triple in (held_by_deleted(state.policy, names.member(email)) if state else ())
        if triple.role.rpartition("/")[2] in role_ids and triple.role.startswith(names.role_name(project, ""))
    )


Roles = Mapping[tuple[str, str], Answer[CustomRole | None]]
"""Answers about roles, by project and ID."""


def _ask_former(
    ask: Ask, google: Google, wanted: Desired, projects: Collection[str], role_ids: Collection[str]
) -> tuple[Mapping[str, Answer[Policy | None]], Roles]:
    """Ask for what is in projects that extra_projects no longer lists."""
    policies = {one: ask(unless_forbidden(unless_off(google.get_policy)), one) for one in projects}
    return policies, _ask_roles(ask, google, wanted, projects, role_ids)


def _ask_roles(
    ask: Ask, google: Google, wanted: Desired, projects: Collection[str], role_ids: Collection[str]
) -> Roles:
    """Ask for roles that only a removal deletes."""
    get_role = unless_forbidden(unless_off(google.get_role))
    every = [(one, role_id) for one in projects for role_id in dict.fromkeys(role_ids) if not wanted.present]
    return {where: ask(get_role, *where) for where in every}


def _former_states(
    policies: Mapping[str, Answer[Policy | None]], roles: Roles, wanted: Desired
) -> dict[str, ProjectState | None]:
    return {
        one: None if bindings is None else ProjectState(bindings, _roles_in(one, roles, wanted))
        for one, bindings in results(policies).items()
    }


def _roles_in(project: str, roles: Roles, wanted: Desired) -> dict[str, CustomRole]:
    """The project's roles that have one of our IDs or name this cluster, by ID."""
    found = _present({role_id: answer.result() for (where, role_id), answer in roles.items() if where == project})
    return {
        role_id: role
        for role_id, role in found.items()
        if role_id in wanted.former_role_ids or marked_role(role.description) == wanted.cluster_id
    }


def _bound_elsewhere(emails: Iterable[str], policies: Iterable[Policy | None]) -> Iterator[str]:
    """The accounts that policies of other projects name, deleted or not."""
    every = [policy for policy in policies if policy]
    for email in emails:
        member = names.member(email)
        if any(held_by(policy, member) or held_by_deleted(policy, member) for policy in every):
            yield email


def _role_ids(wanted: Desired) -> tuple[str, ...]:
    """IDs of roles in the cluster's project to read before it is known which ones our account has."""
    if wanted.present and (wanted.role_id or wanted.shared or wanted.existing_account):
        return wanted.former_role_ids
    return (*wanted.former_role_ids, *names.terraforms_roles(wanted.name))


def _former_projects(current: Current, wanted: Desired) -> set[str]:
    """Projects that this cluster's roles record, but extra_projects no longer lists."""
    own = own_roles(current, wanted).values()
    recorded = {project for role in own for project in recorded_projects(role.description)}
    return recorded - {current.project.project, *wanted.extra_projects}


def _subnets(current: Current, wanted: Desired) -> tuple[str, ...]:
    """The cluster's subnets in other projects. None unless the user decided about them, or an account of this
    collection may go."""
    asked = wanted.network or not wanted.present or wanted.existing_account
    if current.cluster is None or not asked:
        return ()
    own = {current.project.project, current.project.number}
    return tuple(one for one in current.cluster.subnets if one.split("/")[1] not in own)


def _candidates(current: Current, wanted: Desired) -> dict[str, str]:
    """Addresses that the account has or may get, the best one first, and the other tool that uses each."""
    return {wanted.existing_account: ""} if wanted.existing_account else _own_candidates(current, wanted)


def _own_candidates(current: Current, wanted: Desired) -> dict[str, str]:
    """The same for an account that is not the user's. One with another name, which CAST AI's record may have, is."""
    project = current.project.project
    makers = {
        **dict.fromkeys(names.accounts(wanted.name, wanted.cluster_id), ""),
        **names.accounts_of_others(wanted.name),
    }
    ids = {names.account_email(one, project): maker for one, maker in makers.items()}
    recorded = current.client_account
    return {**({recorded: ids[recorded]} if recorded in ids else {}), **ids}


def _former_accounts(current: Current, wanted: Desired, own: Mapping[str, MarkedAccount]) -> Iterator[CastAccount]:
    """Accounts that CAST AI may have had before the user set another one, or none. own: those with names that we use.

    One of the user's is in CAST AI's record if it had no key. The role's description has hashes of those that had one;
    their addresses are found in the project's policy.
    """
    email, project = current.account.email, current.project.project
    roles = {names.role_name(project, one) for one in own_roles(current, wanted)}
    for other, found in own.items():
        # Somebody may have removed the mark.
        bound = any(one.role in roles for one in held_by(current.home.policy, names.member(other)))
        ours = found.cluster_ids == {wanted.cluster_id} or (bound and not found.cluster_ids)
        if other != email and ours:
            yield CastAccount(other, found)
    notes, start = role_notes(current, wanted), names.member("")
    members = sorted({triple.member for triple in triples(current.home.policy) if triple.member.startswith(start)})
    addresses = (current.client_account, *(one.removeprefix(start) for one in members))
    for other in dict.fromkeys(one.lower() for one in addresses if one):
        if other not in (email, *own) and (other == current.client_account or is_noted(other, notes)):
            yield CastAccount(other)


def own_roles(current: Current, wanted: Desired) -> dict[str, CustomRole]:
    """The project's roles whose descriptions name this cluster, by ID."""
    roles = current.home.roles.items()
    return {role_id: role for role_id, role in roles if marked_role(role.description) == wanted.cluster_id}


def is_noted(email: str, notes: Iterable[RoleNote]) -> bool:
    """Whether an account may have keys of ours according to these notes."""
    return any(hashed_account(email) in note.accounts for note in notes)


def role_notes(current: Current, wanted: Desired) -> list[RoleNote]:
    notes = (role_note(role.description) for role in own_roles(current, wanted).values())
    return [note for note in notes if note.account]


def node_emails(current: Current) -> tuple[str, ...]:
    """The accounts that the cluster's nodes run as. The default account is left out if the project's number is not
    known."""
    if current.cluster is None:
        return ()
    own = names.compute_account(current.project.number) if current.project.number else ""
    found = (own if one == names.DEFAULT_NODE_ACCOUNT else one for one in current.cluster.node_accounts)
    return tuple(sorted(set(filter(None, found))))


def home_of(email: str, project: Project) -> str:
    """The project to look for an account in: the one in its address, otherwise the cluster's."""
    number = email.partition("-compute@developer.")[0]
    return names.project_of(email) or (number if number.isdigit() and number != project.number else project.project)


def own_nodes(emails: Iterable[str], project: Project) -> tuple[str, ...]:
    """The accounts of this project, which a binding on the project covers."""
    own = names.compute_account(project.number)
    return tuple(one for one in emails if one == own or names.project_of(one) == project.project)


def bound_roles(current: Current) -> tuple[str, ...]:
    """IDs of the project's custom roles that are bound to our account."""
    prefix = names.role_name(current.project.project, "")
    found = (one.role for one in (*current.held, *held_by_deleted(current.home.policy, current.account.member)))
    return tuple(dict.fromkeys(one.removeprefix(prefix) for one in found if one.startswith(prefix)))


def _present(roles: Mapping[str, CustomRole | None]) -> dict[str, CustomRole]:
    return {role_id: role for role_id, role in roles.items() if role}


def members_of(policy: Policy, role: str) -> Iterable[str]:
    """The members that have a role in a policy."""
    for binding in policy.get("bindings") or ():
        if binding.get("role") == role:
            yield from binding.get("members") or ()
