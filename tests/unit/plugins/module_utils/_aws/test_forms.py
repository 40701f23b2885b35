# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS would refuse in the middle of a run is refused before any call, by both modules and by preflight."""

from __future__ import annotations

import re
from typing import Any

import botocore.loaders
import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._aws import (
    eks_wanted,
    forms,
    kops_iam,
    kops_policies,
    options,
    policies,
)
from ansible_collections.castai.onboarding.plugins.module_utils._castai import phase2
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from tests.unit.sandbox.aws_account import PARAMETERS, sentences
from tests.unit.sandbox.eks_account import World, world

__all__ = ["world"]

ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
EKS = {"provider": "eks", "cluster_name": "prod", "identity": "role", "node_policies": [], "spot_lambda_role": False}
KOPS = {"provider": "kops", "cluster_name": "prod.example.com", "spot_lambda_role": True}
POLICY = "arn:aws:iam::111122223333:policy"


def document(**changes: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*", **changes}
    return {
        "Version": "2012-10-17",
        "Statement": [{key: value for key, value in statement.items() if value is not None}],
    }


LONG = document(Resource=[f"arn:aws:s3:::a-bucket-with-a-number-{number}" for number in range(200)])

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "aws prefix": (
        {"tags": {"aws:x": "y"}},
        "castai_tags (option tags) has the key 'aws:x'. Keys that start with aws:",
    ),
    "AWS prefix": ({"tags": {"AWS:x": "y"}}, "Keys that start with aws: are reserved"),
    "a tag by which CAST AI may delete": (
        {"tags": {"cast:managed-by": "cast.ai"}},
        "has the key 'cast:managed-by'. Keys that start with cast: are reserved for CAST AI. Use another one.",
    ),
    "a tag by which removal goes": (
        {"tags": {"castai-onboarding:used-by:x": "prod"}},
        "Keys that start with castai-onboarding: are reserved for this collection. Use another one.",
    ),
    "60 tags": ({"tags": {f"t{number}": "x" for number in range(60)}}, "castai_tags (option tags) has 60 tags. Use at"),
    "one tag too many": ({"tags": {f"t{number}": "x" for number in range(47)}}, "has 47 tags. Use at most 4"),
    "a value of 257": ({"tags": {"a": "x" * 257}}, "has a value of 257 characters for 'a'. Use at most 256."),
    "an empty key": ({"tags": {"": "x"}}, "has the key '' of 0 characters. Use 1 to 128."),
    "a key of 129": ({"tags": {"k" * 129: "x"}}, "of 129 characters. Use 1 to 128."),
    "equal but for case": ({"tags": {"name": "a", "Name": "b"}}, "has the key 'Name', which is the same as 'name' to"),
    "ours": ({"tags": {"Cast:Cluster-Id": "a"}}, "has the key 'Cast:Cluster-Id', which this collection sets itself"),
    "exactly ours": (
        {"tags": {"cast:cluster-id": "a"}},
        "has the key 'cast:cluster-id', which this collection sets itself",
    ),
    "a key with a character": ({"tags": {"a;b": "x"}}, "has the key 'a;b'. Use only letters, digits, spaces and"),
    "a value with a character": ({"tags": {"a": "x\ny"}}, "has the value 'x\\ny' for 'a'. Use only letters, digits"),
    "no value": ({"tags": {"team": None}}, "has no value for 'team'. Set it to text."),
    "a list": ({"tags": {"team": ["a"]}}, "has a list or dictionary for 'team'. Set it to text."),
    "no policy": ({"managed_policy": {"a": "b"}}, "castai_managed_policy (option managed_policy) has the element 'a'"),
    "no statement": ({"managed_policy": {"Version": "2012-10-17"}}, "has no Statement. Add one."),
    "an old version": ({"managed_policy": {**document(), "Version": "2012-10-18"}}, "has the Version '2012-10-18'"),
    "too long": ({"managed_policy": LONG}, "characters without white space. IAM allows at most 6144: shorten it."),
    "an effect": ({"restricted_policy": document(Effect="allow")}, "statement 1 has the Effect 'allow'. Set it to"),
    "no effect": ({"restricted_policy": document(Effect=None)}, "statement 1 has the Effect None."),
    "no action": ({"restricted_policy": document(Action=None)}, "has neither Action nor NotAction. Use one of them."),
    "two actions": ({"managed_policy": document(NotAction="a:b")}, "has both Action and NotAction. Use one of them."),
    "a bad action": ({"managed_policy": document(Action=["ec2"])}, "has the Action 'ec2'. Write it like"),
    "no resource": ({"managed_policy": document(Resource=None)}, "has neither Resource nor NotResource."),
    "a bad resource": ({"managed_policy": document(Resource="bucket")}, "has the Resource 'bucket'. Write it like an"),
    "a principal": ({"managed_policy": document(Principal="*")}, "statement 1 has the element 'Principal'."),
    "a Sid": ({"managed_policy": document(Sid="a b")}, "has the Sid 'a b'. Use only letters and digits."),
    "an operator": ({"managed_policy": document(Condition={"Equals": {"a": "b"}})}, "operator 'Equals', which IAM"),
    "no condition": ({"managed_policy": document(Condition={"StringLike": "a"})}, "Condition StringLike that is not"),
    "a text for a statement": ({"managed_policy": {"Statement": ["a"]}}, "statement 1 is not a dictionary."),
    "a long path": ({"path": f"/{'x' * 520}/"}, "castai_iam_path (option path) has 522 characters. Use at most 512."),
    "a path with a letter": (
        {"path": "/größe/"},
        "castai_iam_path (option path) is '/gr\\xf6\\xdfe/'. Set it to an IAM path",
    ),
    "a path of service-linked roles": (
        {"path": "/aws-service-role/castai/"},
        "castai_iam_path (option path) is '/aws-service-role/castai/', but IAM reserves /aws-service-role/ for",
    ),
    "no boundary": ({"permissions_boundary": "x"}, "option permissions_boundary) is 'x', which is not a valid IAM"),
    "a boundary with a star": ({"permissions_boundary": f"{POLICY}/*"}, "which is not a valid IAM policy ARN"),
    "a boundary elsewhere": ({"permissions_boundary": "arn:aws-cn:iam::aws:policy/a"}, "is in partition aws-cn, but"),
    "another account's boundary": (
        {"permissions_boundary": f"{POLICY}/a", "account_id": "444455556666"},
        "which is not in account 444455556666.",
    ),
    "digits of another script": ({"vpc_account_id": "١١١١٢٢٢٢٣٣٣٣"}, "which is not a valid AWS account ID"),
}
BAD_ON_EKS: dict[str, tuple[dict[str, Any], str]] = {
    "a policy": ({"node_policies": ["x"]}, "eks_onboard_node_policies (option node_policies) is 'x', which is not"),
    "a policy elsewhere": ({"node_policies": ["arn:aws-us-gov:iam::aws:policy/a"]}, "is in partition aws-us-gov, but"),
    "more policies than a role can have": (
        {"node_policies": [f"{POLICY}/p{number}" for number in range(23)]},
        "eks_onboard_node_policies (option node_policies) has 23 policies. Use at most 22: IAM allows 25 on a role,",
    ),
    "a role with a star": ({"role_arn": "arn:aws:iam::111122223333:role/*"}, "is not a valid IAM role ARN"),
    "a role elsewhere": ({"node_role_arn": "arn:aws-cn:iam::111122223333:role/a"}, "is in partition aws-cn"),
    "a group": ({"security_group_id": "sg-XYZ"}, "is not a valid security group ID"),
    "one tag too many for a user": (
        {"identity": "user", "tags": {f"t{number}": "x" for number in range(45)}},
        "has 45 tags. Use at most 44",
    ),
}
FINE: dict[str, dict[str, Any]] = {
    "tags": {"tags": {"Kosten Stelle/1.2:=+-@_": "größe 1", "tëam": ""}},
    "many tags": {"tags": {f"t{number}": "x" * 256 for number in range(44)}},
    "numbers": {"tags": {"a": 1, "b": 1.5, "c": True, 4711: "x"}},
    "a policy": {"managed_policy": document(Sid="A1", Condition={"ForAllValues:StringLikeIfExists": {"a:b": ["c"]}})},
    "one statement": {"restricted_policy": {"Statement": document()["Statement"][0]}},
    "not": {"restricted_policy": document(Action=None, NotAction=["iam:*"], Condition={"Bool": {"a": True}})},
    "a long path": {"path": f"/{'x' * 510}/"},
    "a path that begins alike": {"path": "/aws-service-roles/"},
    "a tag that begins alike": {"tags": {"castle:x": "y", "cast-ai": "z"}},
    "one policy many times": {"node_policies": [f"{POLICY}/p"] * 23},
    "a boundary": {"permissions_boundary": f"{POLICY}/some/path/a+b=c,d.e@f_g-h", "account_id": "111122223333"},
    "AWS's boundary": {"permissions_boundary": "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"},
    "China": {"region": "cn-north-1", "permissions_boundary": "arn:aws-cn:iam::111122223333:policy/a"},
}


def refusal(own: dict[str, Any], changes: dict[str, Any]) -> str:
    """The problems that a provider's module finds in the options, empty for none."""
    desired = eks_wanted.desired if own["provider"] == "eks" else kops_iam.desired
    try:
        desired({**PARAMETERS, "force": False, "cluster_id": ID, **own, **changes})
    except Refused as failure:
        return str(failure)
    return ""


def in_preflight(own: dict[str, Any], changes: dict[str, Any]) -> str:
    options = {name: option.get("default") for name, option in phase2.OPTIONS.items()}
    account = {"account_id": changes.get("account_id"), "region": changes.get("region", PARAMETERS["region"])}
    given = {name: value for name, value in {**own, **changes}.items() if name in options}
    return " ".join(phase2.problems({"provider": own["provider"], **account, "onboard": {**options, **given}}))


@pytest.mark.parametrize("own", [EKS, KOPS], ids=["eks", "kops"])
@pytest.mark.parametrize(("changes", "sentence"), BAD.values(), ids=BAD)
def test_what_aws_does_not_take_is_refused(own: dict[str, Any], changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(own, changes)
    assert in_preflight(own, changes) == refusal(own, changes)


@pytest.mark.parametrize(("changes", "sentence"), BAD_ON_EKS.values(), ids=BAD_ON_EKS)
def test_what_only_eks_has_is_refused(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(EKS, changes)
    assert in_preflight(EKS, changes) == refusal(EKS, changes)


@pytest.mark.parametrize("own", [EKS, KOPS], ids=["eks", "kops"])
@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_what_aws_takes_is_taken(own: dict[str, Any], changes: dict[str, Any]) -> None:
    assert refusal(own, changes) == in_preflight(own, changes) == ""


def test_an_inline_policy_of_a_role_may_be_longer_than_a_managed_one() -> None:
    assert refusal(EKS, {"restricted_policy": LONG}) == ""
    longer = document(Resource=LONG["Statement"][0]["Resource"] * 2)
    assert "IAM allows at most 10240" in refusal(EKS, {"restricted_policy": longer})
    for own in ({**EKS, "identity": "user"}, KOPS):
        assert "IAM allows at most 6144" in refusal(own, {"restricted_policy": LONG})


def test_our_own_documents_are_policies() -> None:
    here = policies.Location("aws", "111122223333", "eu-central-1", "prod", "vpc-1", "111122223333")
    ours = (
        policies.eks_managed(here),
        policies.eks_restricted(here),
        policies.IPV6_NODES,
        kops_policies.kops_managed(here, True),
        kops_policies.kops_restricted(here),
    )
    assert [forms.document_problem(one, forms.MANAGED_SIZE) for one in ours] == [""] * len(ours)


def test_tags_are_text_as_yaml_has_it() -> None:
    tags = {"a": True, "b": False, "c": 1, "d": 1.5, "e": "", 4711: "x", True: "y"}
    made = options.making({**PARAMETERS, "cluster_name": "prod", "cluster_id": ID, "tags": tags}).tags
    assert made.items() >= {
        "a": "true", "b": "false", "c": "1", "d": "1.5", "e": "", "4711": "x", "true": "y"
    }.items()  # fmt: skip


def test_limits_are_those_of_iams_model() -> None:
    shapes = botocore.loaders.create_loader().load_service_model("iam", "service-2")["shapes"]
    assert (shapes["tagKeyType"]["max"], shapes["tagValueType"]["max"]) == (forms.TAG_KEY, forms.TAG_VALUE)
    assert (shapes["tagListType"]["max"], shapes["pathType"]["max"]) == (forms.TAGS, forms.PATH)
    # Characters by Unicode's categories, as the model has them: [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    assert re.sub(r"\\p\{(\w)\}", r"\1", shapes["tagValueType"]["pattern"]) == r"[LZN_.:/=+\-@]*"


@pytest.mark.parametrize("identity", ["role", "user"])
def test_policies_that_are_not_there_are_refused_before_any_write(world: World, identity: str) -> None:
    before = world.cloud.state()
    for given, variable in (
        ({"permissions_boundary": f"{POLICY}/nowhere"}, "castai_permissions_boundary (option permissions_boundary)"),
        ({"node_policies": [f"{POLICY}/nowhere"]}, "eks_onboard_node_policies (option node_policies)"),
    ):
        sentence = re.escape(f"IAM has no policy {POLICY}/nowhere. Correct {variable}.")
        for check in (True, False):
            with pytest.raises(Refused, match=sentence):
                world.run("API", check=check, identity=identity, **given)
        assert world.cloud.state() == before
        assert sentences(world.run("API", check=True, identity=identity, state="absent", **given)) == []
