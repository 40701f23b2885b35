# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is planned for the ConfigMap; test_aws_auth_text tests how its text is edited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._engine import (
    UNKNOWN,
    CallFailed,
    Refused,
    run_task,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import Rejected
from ansible_collections.castai.onboarding.plugins.module_utils._k8s import aws_auth
from ansible_collections.castai.onboarding.plugins.module_utils._k8s.aws_auth import (
    Create,
    Current,
    Delete,
    Desired,
    Write,
    plan,
    view,
)
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

ROLE = "arn:aws:iam::111122223333:role/vendors/cast"
BARE = "arn:aws:iam::111122223333:role/cast"
USER = "arn:aws:iam::111122223333:user/cast"
NODES = ["system:bootstrappers", "system:nodes"]
PARAMETERS: dict[str, Any] = {
    "create": "auto",
    "provider": "eks",
    "cluster_name": "prod",
    "groups": NODES,
    "region": "eu-central-1",
    "role_arn": ROLE,
    "state": "present",
    "username": "system:node:{{EC2PrivateDNSName}}",
}
OURS = f"""- rolearn: "{BARE}"
  username: "system:node:{{{{EC2PrivateDNSName}}}}"
  groups:
  - "system:bootstrappers"
  - "system:nodes"
"""
THEIRS = "- rolearn: arn:aws:iam::111122223333:role/theirs # keep\n  username: theirs\n"
WRONG = OURS.replace("system:node:", "old:")
TITLE = f"an entry for {BARE} as system:node:{{{{EC2PrivateDNSName}}}} in system:bootstrappers, system:nodes"
ADD = f"add {TITLE} in mapRoles of ConfigMap kube-system/aws-auth"
CORRECT = f"correct {TITLE} in mapRoles of ConfigMap kube-system/aws-auth"
CREATE = f"create ConfigMap kube-system/aws-auth with {TITLE}"
REMOVE = f"remove the entry of {BARE} from mapRoles of ConfigMap kube-system/aws-auth"
DELETE = "delete ConfigMap kube-system/aws-auth, whose only entry was ours"

MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API", "")
"""The last one applies if EKS was not asked."""


def desired(**changes: Any) -> Desired:
    return aws_auth.desired({**PARAMETERS, **changes})


def held(data: Mapping[str, str] | None, mode: str = "CONFIG_MAP", ours: bool = False) -> Current:
    return Current(data, "" if data is None else "7", ours, mode)


def sentences(current: Current, **changes: Any) -> list[str]:
    return [action.sentence for action in plan(current, desired(**changes))]


@pytest.mark.parametrize("create", ["auto", "always", "never"])
@pytest.mark.parametrize("mode", MODES)
def test_an_absent_config_map_is_made_where_nothing_else_lets_in(mode: str, create: str) -> None:
    current = held(None, mode)
    if mode == "API" or (mode, create) == ("", "auto"):
        with pytest.raises(
            Refused,
            match="access entry instead"
            if mode == "API"
            else r"On EKS, set castai_provider \(option provider\) and castai_cluster_name \(option cluster_name\)",
        ):
            sentences(current, create=create)
        return
    made = create == "always" or (create, mode) == ("auto", "CONFIG_MAP")
    assert sentences(current, create=create) == ([CREATE] if made else [])
    assert bool(view(current, desired(create=create), {})["reason"]) is not made


@pytest.mark.parametrize("create", ["auto", "always", "never"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("data", "done"),
    [
        ({}, [ADD]),
        ({"mapRoles": ""}, [ADD]),
        ({"mapUsers": "- userarn: x\n"}, [ADD]),
        ({"mapRoles": THEIRS}, [ADD]),
        ({"mapRoles": THEIRS + OURS}, []),
        ({"mapRoles": WRONG + THEIRS}, [CORRECT]),
    ],
    ids=["no data", "empty", "other key", "theirs", "ours", "another entry of ours"],
)
def test_a_config_map_gets_the_one_entry(data: dict[str, str], done: list[str], mode: str, create: str) -> None:
    current = held(data, mode)
    if mode == "API":
        with pytest.raises(Refused, match="authentication mode API, so it does not read aws-auth"):
            sentences(current, create=create)
        return
    actions = list(plan(current, desired(create=create)))
    assert [action.sentence for action in actions] == done
    for action in actions:
        assert isinstance(action, Write)
        assert (action.version, action.kind) == ("7", "mapRoles")
        again = held({**data, "mapRoles": action.after}, mode)
        assert sentences(again, create=create) == []
        assert THEIRS not in data.get("mapRoles", "") or THEIRS in action.after
    assert view(current, desired(create=create), {}) == {"authentication_mode": mode, "reason": ""}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_us", [False, True])
@pytest.mark.parametrize(
    ("data", "done", "after"),
    [
        (None, [], None),
        ({}, [], None),
        ({"mapRoles": THEIRS}, [], None),
        ({"mapRoles": THEIRS + OURS}, [REMOVE], THEIRS),
        ({"mapRoles": OURS + THEIRS}, [REMOVE], THEIRS),
        ({"mapRoles": WRONG}, [REMOVE], None),
        ({"mapRoles": OURS, "mapUsers": "- userarn: x\n"}, [REMOVE], None),
        ({"mapRoles": "# mine\n" + OURS}, [REMOVE], "# mine\n"),
    ],
    ids=["absent", "no data", "theirs", "last", "first", "only", "only role", "below a comment"],
)
def test_the_entry_goes_and_everything_else_stays(
    mode: str, by_us: bool, data: dict[str, str] | None, done: list[str], after: str | None
) -> None:
    current = held(data, mode, by_us)
    actions = list(plan(current, desired(state="absent", username=None)))
    if by_us and data == {"mapRoles": WRONG}:
        assert [(type(action), action.sentence) for action in actions] == [(Delete, DELETE)]
    else:
        assert [action.sentence for action in actions] == done
        assert [action.after for action in actions] == [after] * len(done)
    assert view(current, desired(state="absent"), {})["reason"] == ""


def test_a_text_that_cannot_be_read_is_refused_before_any_write() -> None:
    for state in ("present", "absent"):
        with pytest.raises(Refused, match="mapRoles cannot be read"):
            sentences(held({"mapRoles": "rolearn: x\n"}), state=state)


def test_a_user_with_full_control_is_told_as_such() -> None:
    options = {"role_arn": None, "user_arn": USER, "username": "cast", "groups": ["system:masters"]}
    (action,) = plan(held({"mapRoles": THEIRS}), desired(**options))
    assert action.sentence == (
        f"add an entry for {USER} as cast in system:masters (full control of the cluster) in mapUsers of ConfigMap"
        " kube-system/aws-auth"
    )
    assert action.target == "kubernetes/configmap/kube-system/aws-auth/mapUsers"


def test_the_mode_of_a_kops_cluster_is_not_asked_for(wire: Wire) -> None:
    wire.script.play(reply(200, {"metadata": {"name": "kube-system"}}), reply(404, {"message": "not found"}))
    options = {"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)}
    wanted = desired(provider="kops", cluster_name="shop.example.com", create="always")
    current = aws_auth.observe(aws_auth.connect(options, wanted), wanted)
    assert current == Current(None)
    assert [action.sentence for action in plan(current, wanted)] == [CREATE]
    assert view(current, wanted, {})["authentication_mode"] == ""


DEAD = tuple(BARE.replace("role/", f"role/{path}/") for path in ("vendors", "a/b"))
KEPT = "".join(f"- rolearn: {arn}\n  username: theirs\n" for arn in DEAD)


def test_an_entry_that_keeps_the_path_is_named_and_left() -> None:
    one = held({"mapRoles": KEPT.partition("- rolearn: " + DEAD[1])[0]})
    dead = f"the entry of {DEAD[0]}, which no caller matches, because the ARN includes the path"
    assert sentences(one) == [f"{ADD}, beside {dead}"]
    current = held({"mapRoles": KEPT})
    assert sentences(current)[0].startswith(f"{ADD}, beside the entries of {DEAD[0]}, {DEAD[1]}, which no caller")
    (write,) = plan(current, desired())
    assert write.after == KEPT + OURS
    assert sentences(current, state="absent") == []
    assert view(one, desired(state="absent"), {})["reason"] == f"{BARE} has no entry. Left unchanged: {dead}."
    assert view(held({"mapRoles": KEPT + OURS}), desired(state="absent"), {})["reason"] == ""
    (removal,) = plan(held({"mapRoles": KEPT + OURS}), desired(state="absent"))
    assert removal.after == KEPT


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_the_api_server_would_refuse_is_refused_before(state: str) -> None:
    text = {"present": THEIRS, "absent": THEIRS + OURS}[state]
    for current, sentence in (
        (Current({"mapRoles": text}, "7", immutable=True), "is immutable, so mapRoles cannot be changed"),
        (Current({"mapRoles": text}, "7", binary=frozenset(["mapRoles"])), "has mapRoles in binaryData"),
    ):
        with pytest.raises(Refused, match=sentence):
            sentences(current, state=state)
        right = {"present": THEIRS + OURS, "absent": THEIRS}[state]
        assert list(plan(replace(current, data={"mapRoles": right}), desired(state=state))) == []


@pytest.mark.parametrize("binary", [0, 1000])
def test_a_config_map_that_would_be_too_large_is_refused_before(binary: int) -> None:
    """Kubernetes counts bytes, not characters, of all keys together."""
    room = 1_048_576 - binary - len((THEIRS + OURS).encode())
    full = {"mapRoles": THEIRS, "mapAccounts": "\u00e4" * (room // 2) + "x" * (room % 2)}
    fits = Current(full, "7", binary=frozenset(["x"]), binary_size=binary)
    assert sentences(fits) == [ADD]
    over = replace(fits, data={**full, "mapAccounts": f"{full['mapAccounts']}x"})
    with pytest.raises(Refused, match="would have 1048577 bytes of data, but Kubernetes allows 1048576"):
        sentences(over)
    assert sentences(replace(over, data={**over.data, "mapRoles": THEIRS + OURS}), state="absent")


def test_binary_data_of_others_is_no_hindrance_and_never_deleted() -> None:
    current = Current({"mapRoles": OURS}, "7", ours=True, binary=frozenset(["mapUsers"]))
    (action,) = plan(current, desired(state="absent"))
    assert isinstance(action, Write)
    assert sentences(Current({}, "7", binary=frozenset(["mapUsers"]))) == [ADD]


def test_an_immutable_config_map_of_ours_is_deleted_with_its_only_entry() -> None:
    current = Current({"mapRoles": OURS}, "7", ours=True, immutable=True)
    assert [type(action) for action in plan(current, desired(state="absent"))] == [Delete]


def test_immutable_and_binary_data_are_read(wire: Wire) -> None:
    body = {"metadata": {"resourceVersion": "7"}, "immutable": True, "binaryData": {"mapRoles": "AA=="}}
    wire.script.play(reply(200, {"metadata": {"name": "kube-system"}}), reply(200, body))
    options = {"host": wire.url, "api_key": "CANARY", "ca_cert": str(wire.ca_file)}
    wanted = desired(provider="kops", cluster_name="shop.example.com", create="always")
    current = aws_auth.observe(aws_auth.connect(options, wanted), wanted)
    assert current == Current({}, "7", immutable=True, binary=frozenset(["mapRoles"]), binary_size=1)


BAD_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no ARN": ({"role_arn": "cast"}, "role_arn is 'cast'. Set it to the ARN of an IAM role"),
    "a user as role": ({"role_arn": USER}, "Set it to the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME."),
    "a role as user": ({"role_arn": None, "user_arn": ROLE}, "Set it to the ARN of an IAM user"),
    "a session": ({"role_arn": "arn:aws:sts::111122223333:assumed-role/a/b"}, "Set it to the ARN of an IAM role"),
    "more behind it": ({"role_arn": f"{ROLE}\n- rolearn: x"}, "Set it to the ARN of an IAM role"),
    "neither": (
        {"role_arn": None},
        "Neither role_arn nor user_arn is set. Set one of them to the ARN of the principal.",
    ),
    "empty": ({"role_arn": "", "user_arn": ""}, "Neither role_arn nor user_arn is set."),
    "any role": ({"role_arn": BARE[:-4] + "*"}, "Set it to the ARN of an IAM role"),
    "any role in a path": ({"role_arn": BARE[:-4] + "a/*"}, "Set it to the ARN of an IAM role"),
    "no name": ({"role_arn": BARE[:-4]}, "Set it to the ARN of an IAM role"),
    "a path only": ({"role_arn": BARE[:-4] + "a/"}, "Set it to the ARN of an IAM role"),
    "an empty part of the path": ({"role_arn": BARE[:-4] + "/cast"}, "Set it to the ARN of an IAM role"),
    "a name too long": ({"role_arn": BARE[:-4] + "a" * 65}, "Set it to the ARN of an IAM role"),
    "a letter that IAM does not know": ({"role_arn": BARE + "\u00e9"}, "Set it to the ARN of an IAM role"),
    "digits of another script": (
        {"role_arn": BARE.replace("111122223333", "\u0661" * 12)},
        "Set it to the ARN of an IAM role",
    ),
    "another partition": ({"role_arn": BARE.replace(":aws:", ":awsome:")}, "Set it to the ARN of an IAM role"),
    "a partition that is none": ({"role_arn": BARE.replace(":aws:", ":aws-:")}, "Set it to the ARN of an IAM role"),
    "another service": ({"role_arn": BARE.replace(":iam:", ":sts:")}, "Set it to the ARN of an IAM role"),
    "a region": ({"role_arn": BARE.replace("iam::", "iam:eu-central-1:")}, "Set it to the ARN of an IAM role"),
    "an instance profile": (
        {"role_arn": BARE.replace(":role/", ":instance-profile/")},
        "Set it to the ARN of an IAM role",
    ),
    "the account": (
        {"role_arn": None, "user_arn": "arn:aws:iam::111122223333:root"},
        "Set it to the ARN of an IAM user",
    ),
    "cluster": ({"cluster_name": "a b"}, "EKS cluster name 'a b'"),
    "kOps cluster": ({"provider": "kops", "cluster_name": "prod"}, "kOps cluster name 'prod' must be a full DNS name"),
    "account": (
        {"account_id": "1111"},
        "castai_account_id (option account_id) is '1111'. Set it to the 12 digits of the AWS account, in quotes.",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_a_bad_option_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        desired(**changes)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("arns", [{}, {"role_arn": ""}, {"role_arn": None, "user_arn": None}, {"user_arn": " "}])
def test_a_task_without_a_principal_is_told_so_in_one_sentence(arns: dict[str, Any]) -> None:
    task = SimpleNamespace(check_mode=True, diff=False)
    options = {"host": "https://127.0.0.1:1", "api_key": "CANARY", "username": "u", **arns}
    result = run_task(aws_auth.SUBJECT, task, options, lambda line: None)
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"] == "Neither role_arn nor user_arn is set. Set one of them to the ARN of the principal."


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"])
def test_an_arn_of_any_partition_loses_its_path(partition: str) -> None:
    arn = ROLE.replace("arn:aws:", f"arn:{partition}:")
    assert desired(role_arn=arn).entry.arn == arn.replace("vendors/", "")


def test_an_arn_with_an_id_that_only_a_run_will_know_is_planned_with() -> None:
    assert UNKNOWN in sentences(held({}), role_arn=f"{BARE}-eks-{UNKNOWN}")[0]


class Cluster:
    """An API server that stores the text as a webhook changed it."""

    def __init__(self, change: str = "", refusal: Exception | None = None, dry_runs: bool = True) -> None:
        self.change, self.refusal, self.dry_runs = change, refusal, dry_runs
        self.bodies: list[dict[str, Any]] = []
        self.tried: list[str] = []

    def cluster(self) -> Cluster:
        return self

    def has_dry_runs(self) -> bool:
        return self.dry_runs

    def create(self, path: str, body: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        if dry_run:
            self._try(path)
        else:
            self.bodies.append(body)
        data = {kind: (text or "") + self.change or None for kind, text in body["data"].items()}
        return {"metadata": {"resourceVersion": f"{len(self.bodies)} later"}, "data": data}

    def patch(self, path: str, body: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        return self.create(path, body, dry_run)

    def try_to_delete(self, path: str) -> None:
        self._try(path)

    def _try(self, path: str) -> None:
        self.tried.append(path)
        if self.refusal:
            raise self.refusal


def test_an_entry_in_the_other_list_goes_by_a_write_on_the_version_after_the_first() -> None:
    """mapRoles takes precedence: the new entry is added before the one that hides it is removed."""
    stray = f"- rolearn: {USER}\n  username: stray\n"
    options = {"role_arn": None, "user_arn": USER, "username": "cast", "groups": []}
    title = f"an entry for {USER} as cast in no group in mapUsers of ConfigMap kube-system/aws-auth"
    remove = f"remove the entry of {USER} from mapRoles of ConfigMap kube-system/aws-auth"
    added = plan(held({"mapRoles": THEIRS + stray}), desired(**options))
    first, second = added
    assert [first.sentence, second.sentence] == [
        f"add {title}",
        (f"{remove}, which takes precedence over the one in mapUsers"),
    ]
    cluster = Cluster()
    made = dict(first.run(cluster, {}) or {})
    second.run(cluster, made)
    assert cluster.bodies == [
        {"metadata": {"resourceVersion": "7"}, "data": {"mapUsers": first.after}},
        {"metadata": {"resourceVersion": "1 later"}, "data": {"mapRoles": THEIRS}},
    ]
    again = Write("", "", kind="mapRoles", version="9")
    again.run(cluster, made)
    assert cluster.bodies[-1]["metadata"] == {"resourceVersion": "9"}
    gone = held({"mapUsers": first.after, "mapRoles": THEIRS + stray})
    assert sentences(gone, state="absent", **options) == [remove.replace("mapRoles", "mapUsers"), remove]


def test_another_list_that_cannot_be_read_is_no_hindrance() -> None:
    """None of the text is in force."""
    options = {"role_arn": None, "user_arn": USER, "username": "cast", "groups": []}
    assert len(sentences(held({"mapRoles": "{not: [yaml"}), **options)) == 1


def rejected(status: int, message: str) -> Rejected:
    return Rejected(f"PATCH: {message}.", status, message)


DENIED = rejected(403, 'admission webhook "w" denied the request: no')
OVER_QUOTA = rejected(403, 'configmaps "aws-auth" is forbidden: exceeded quota: one')
CHANGES = {
    "add": (held({"mapRoles": THEIRS}), {}),
    "create": (held(None), {}),
    "remove": (held({"mapRoles": THEIRS + OURS}), {"state": "absent"}),
    "delete": (held({"mapRoles": OURS}, ours=True), {"state": "absent"}),
}


@pytest.mark.parametrize("refusal", [DENIED, OVER_QUOTA], ids=["webhook", "quota"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_the_cluster_would_refuse_is_refused_in_the_plan(change: str, refusal: Rejected) -> None:
    current, options = CHANGES[change]
    (action,) = plan(current, desired(**options))
    cluster = Cluster(refusal=refusal)
    with pytest.raises(Refused) as caught:
        aws_auth.confirm(cast(Any, cluster), desired(**options), current, (action,))
    assert str(caught.value) == f"Could not {action.sentence}, as a dry run shows: {refusal}"
    assert (len(cluster.tried), cluster.bodies) == (1, [])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(),
        Cluster(refusal=rejected(403, 'configmaps "aws-auth" is forbidden: User "u" cannot patch resource')),
        Cluster(refusal=CallFailed("no answer")),
        Cluster(refusal=DENIED, dry_runs=False),
    ],
    ids=["it may", "these credentials may not", "no answer", "an old API server would write"],
)
def test_what_is_not_refused_by_the_cluster_stays_planned(change: str, cluster: Cluster) -> None:
    current, options = CHANGES[change]
    planned = tuple(plan(current, desired(**options)))
    assert aws_auth.confirm(cast(Any, cluster), desired(**options), current, planned) == planned
    assert cluster.bodies == []
    assert bool(cluster.tried) is cluster.dry_runs


def test_a_webhook_that_would_change_the_text_is_refused_in_the_plan() -> None:
    current = held({"mapRoles": THEIRS})
    with pytest.raises(
        Refused, match="would store another mapRoles of ConfigMap kube-system/aws-auth than planned: an"
    ):
        aws_auth.confirm(cast(Any, Cluster("# webhook")), desired(), current, tuple(plan(current, desired())))


def test_the_second_of_two_entries_is_planned_as_the_run_adds_it() -> None:
    """The run creates the ConfigMap with the first."""
    user = {"role_arn": None, "user_arn": USER, "username": "cast", "groups": ["system:masters"]}
    (create,) = plan(held(None), desired())
    (foreseen,) = planned = tuple(plan(held(None), desired(created_before=True, **user)))
    (added,) = plan(held({"mapRoles": create.after}, ours=True), desired(**user))
    assert (foreseen.sentence, foreseen.before, foreseen.after) == (added.sentence, added.before, added.after)
    cluster = Cluster(refusal=rejected(404, "not found"))
    aws_auth.confirm(cast(Any, cluster), desired(created_before=True, **user), held(None), planned)
    assert cluster.tried == []
    assert sentences(held(None, "API_AND_CONFIG_MAP"), created_before=True, **user) == []


def test_a_write_is_on_the_version_that_was_read_and_proved() -> None:
    (write,) = plan(held({"mapRoles": THEIRS}), desired())
    cluster = Cluster()
    write.run(cluster, {})
    assert cluster.bodies == [{"metadata": {"resourceVersion": "7"}, "data": {"mapRoles": write.after}}]
    (create,) = plan(held(None), desired())
    assert isinstance(create, Create)
    create.run(cluster, {})
    assert cluster.bodies[1]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "castai.onboarding"}
    for action in (write, create):
        with pytest.raises(CallFailed, match="stored another mapRoles: an admission webhook changes it"):
            action.run(Cluster("# webhook"), {})
