# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which inventory variable sets which module option. Pure. PRIVATE to the collection.

The one table: messages, the check of a host's variables, and the page of connection options read it. The argument specs
of the roles describe each variable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches

VARIABLES: Mapping[str, str] = {
    # Which cluster
    "castai_provider": "provider",
    "castai_cluster_name": "cluster_name",
    "castai_region": "region",
    "castai_account_id": "account_id",
    "castai_state_store": "state_store",
    "castai_project": "project",
    "castai_location": "location",
    "castai_subscription_id": "subscription_id",
    "castai_resource_group": "resource_group",
    "castai_node_resource_group": "node_resource_group",
    # CAST AI
    "castai_api_key": "castai_api_key",
    "castai_api_url": "castai_api_url",
    "castai_ca_cert": "castai_ca_cert",
    "castai_validate_certs": "castai_validate_certs",
    "castai_cluster_api_url": "",
    "castai_grpc_url": "",
    "castai_proxy": "",
    "castai_organization_id": "organization_id",
    "castai_cluster_id": "cluster_id",
    # AWS
    "castai_aws_access_key": "access_key",
    "castai_aws_secret_key": "secret_key",
    "castai_aws_session_token": "session_token",
    "castai_aws_profile": "profile",
    "castai_aws_assume_role_arn": "assume_role_arn",
    "castai_aws_assume_role_external_id": "assume_role_external_id",
    "castai_aws_endpoint_url": "endpoint_url",
    "castai_aws_ca_bundle": "aws_ca_bundle",
    "castai_aws_validate_certs": "aws_validate_certs",
    # Google Cloud
    "castai_google_auth_kind": "auth_kind",
    "castai_google_service_account_file": "service_account_file",
    "castai_google_service_account_contents": "service_account_contents",
    "castai_google_service_account_email": "service_account_email",
    "castai_google_access_token": "access_token",
    "castai_google_impersonate_service_account": "impersonate_service_account",
    "castai_google_quota_project": "quota_project",
    "castai_google_ca_cert": "google_ca_cert",
    # Azure
    "castai_azure_auth_source": "auth_source",
    "castai_azure_tenant": "tenant",
    "castai_azure_client_id": "client_id",
    "castai_azure_secret": "secret",
    "castai_azure_x509_certificate_path": "x509_certificate_path",
    "castai_azure_oidc_token": "oidc_token",
    "castai_azure_oidc_token_file_path": "oidc_token_file_path",
    "castai_azure_cloud_environment": "cloud_environment",
    "castai_azure_ca_cert": "azure_ca_cert",
    # Kubernetes
    "castai_admin": "admin",
    "castai_endpoint": "endpoint",
    "castai_kubeconfig": "kubeconfig",
    "castai_context": "context",
    "castai_host": "host",
    "castai_host_token": "api_key",
    "castai_kubernetes_ca_cert": "ca_cert",
    "castai_kubernetes_validate_certs": "kubernetes_validate_certs",
    "castai_wrong_cluster_check": "wrong_cluster_check",
    # In the cluster
    "castai_namespace": "namespace",
    "castai_create_namespace": "create_namespace",
    "castai_credentials_secret": "credentials_secret",
    "castai_chart_mirror": "",
    "castai_delete_superseded_records": "delete_superseded_records",
    "castai_helm_path": "helm_path",
    "castai_image_pull_secrets": "",
    "castai_wait_for": "wait_for",
    "castai_wait_for_workloads": "wait_for_workloads",
    "castai_wait_timeout": "wait_timeout",
    # What CAST AI gets in AWS
    "castai_adopt": "adopt",
    "castai_iam_path": "path",
    "castai_managed_policy": "managed_policy",
    "castai_permissions_boundary": "permissions_boundary",
    "castai_policy_scope": "policy_scope",
    "castai_restricted_policy": "restricted_policy",
    "castai_spot_lambda_role": "spot_lambda_role",
    "castai_tags": "tags",
    "castai_vpc_account_id": "vpc_account_id",
    "eks_onboard_identity": "identity",
    "eks_onboard_instance_profile_arn": "instance_profile_arn",
    "eks_onboard_node_policies": "node_policies",
    "eks_onboard_node_role_arn": "node_role_arn",
    "eks_onboard_role_arn": "role_arn",
    "eks_onboard_security_group_id": "security_group_id",
    "eks_onboard_user_access": "user_access",
    "kops_onboard_aws_auth": "create",
    # What CAST AI gets in Google Cloud
    "gke_onboard_enable_services": "enable_services",
    "gke_onboard_existing_service_account": "existing_service_account",
    "gke_onboard_extra_projects": "extra_projects",
    "gke_onboard_identity": "identity",
    "gke_onboard_load_balancers": "load_balancers",
    "gke_onboard_permissions": "permissions",
    "gke_onboard_role_id": "role_id",
    "gke_onboard_role_scope": "role_scope",
    "gke_onboard_service_account_user": "service_account_user",
    "gke_onboard_shared_vpc_role": "shared_vpc_role",
    # What CAST AI gets in Azure
    "aks_onboard_additional_resource_groups": "additional_resource_groups",
    "aks_onboard_credential": "credential",
    "aks_onboard_existing_app_id": "existing_app_id",
    "aks_onboard_existing_app_secret": "existing_app_secret",
    "aks_onboard_existing_identity_id": "existing_identity_id",
    "aks_onboard_http_proxy": "http_proxy",
    "aks_onboard_identity": "identity",
    "aks_onboard_identity_location": "identity_location",
    "aks_onboard_managed_clusters_write": "managed_clusters_write",
    "aks_onboard_owners": "owners",
    "aks_onboard_register_providers": "register_providers",
    "aks_onboard_role_actions": "role_actions",
    "aks_onboard_secret_days": "secret_days",
    # The agent
    "agent_adopt": "adopt",
    "agent_chart_ref": "chart_ref",
    "agent_chart_repo_url": "chart_repo_url",
    "agent_chart_version": "chart_version",
    "agent_pending": "pending",
    "agent_policy": "policy",
    "agent_timeout": "timeout",
    "agent_values": "values",
    # The components
    "components_autoscaling": "values",
    "components_chart_refs": "chart_ref",
    "components_chart_repo_url": "chart_repo_url",
    "components_evictor_hook_image": "values",
    "components_grpc_url": "values",
    "components_kvisor_url": "values",
    "components_live": "",
    "components_pod_mutator": "",
    "components_policy": "policy",
    "components_skip": "",
    "components_timeout": "timeout",
    "components_values": "values",
    "components_versions": "chart_version",
    "components_workload_autoscaler": "",
    # kube-router
    "kube_router_state": "state",
    "kube_router_wait": "wait",
}
"""The option is empty if a role uses the variable itself."""

OTHERS = ("castai_hosts", "castai_registered")
"""Variables of the playbooks, and the fact that the roles pass on."""

RENAMED: Mapping[str, str] = {
    "agent_connection": "castai_kubeconfig, castai_aws_profile and so on",
    "agent_environment": "agent_values",
    "castai_api_token": "castai_api_key",
    "castai_identity": "eks_onboard_identity",
    "components_connection": "castai_kubeconfig, castai_aws_profile and so on",
    "kube_router_cluster_name": "castai_cluster_name",
    "kube_router_connection": "castai_kubeconfig and so on",
    "kube_router_wait_timeout": "castai_wait_timeout",
}
"""Names from earlier versions whose last part does not show their successor, and names that users expect."""

EXPECTED: Mapping[str, str] = {
    "castai_aws_account_id": "castai_account_id",
    "castai_aws_region": "castai_region",
    "castai_azure_client_secret": "castai_azure_secret",
    "castai_cluster": "castai_cluster_name",
    "castai_gcp_project": "castai_project",
    "castai_google_credentials": "castai_google_service_account_file",
    "castai_google_location": "castai_location",
    "castai_google_project": "castai_project",
    "castai_org_id": "castai_organization_id",
    "castai_token": "castai_api_key",
    "castai_zone": "castai_location",
}
"""Names that users may expect, but that do not resemble the right name. If the right one is set as well, or has no
effect here, such a name is taken for a variable of the user's own."""

OURS = (
    "aks_connect_",
    "aks_onboard_",
    "eks_connect_",
    "eks_onboard_",
    "gke_connect_",
    "gke_onboard_",
    "kops_connect_",
    "kops_onboard_",
)
"""Variables with these prefixes are ours, or were in an earlier version."""

SHARED = ("castai_", "agent_", "components_", "kube_router_")
"""Variables with these prefixes may also be the user's own."""

_CLOSE = 0.8
_CLOSE_AS_A_WHOLE = 0.9
"""How similar a misspelled name must be after a known beginning, and as a whole if its beginning is misspelled."""

AGENT_RELEASE = "castai-agent"
"""The Helm release whose options the role agent sets."""


COMPONENTS = (
    "cluster-controller",
    "castai-spot-handler",
    "castai-evictor",
    "castai-pod-pinner",
    "castai-kvisor",
    "castai-workload-autoscaler",
    "castai-workload-autoscaler-exporter",
    "castai-pod-mutator",
    "castai-live",
)
"""The Helm releases whose options the role components sets."""

SWITCHES: Mapping[str, str] = {
    "castai-workload-autoscaler": "components_workload_autoscaler",
    "castai-workload-autoscaler-exporter": "components_workload_autoscaler",
    "castai-pod-mutator": "components_pod_mutator",
    "castai-live": "components_live",
}
"""The variables that turn on the components that are not installed by default."""


def named(option: str, role: str = "castai") -> str:
    """An option as a message names it, with its inventory variable first: castai_region (option region).

    role: the one whose variables set the option, empty if unknown. If there are several variables, the one with the
    option's name counts; without such a variable, the option stands alone.
    """
    variables = [variable for variable, one in VARIABLES.items() if one == option and variable.startswith(f"{role}_")]
    if f"{role}_{option}" in variables:
        variables = [f"{role}_{option}"]
    if len(variables) != 1 or variables == [option]:
        return option
    return f"{variables[0]} (option {option})"


def role_of(release: str) -> str:
    """The role whose variables set the options of a Helm release, empty if unknown."""
    if release in COMPONENTS:
        return "components"
    return "agent" if release == AGENT_RELEASE else ""


def switch_of(release: str) -> str:
    """The variables that leave a Helm release out of a run, as a message names them; empty for another one."""
    return " or ".join(filter(None, [SWITCHES.get(release), "components_skip"])) if release in COMPONENTS else ""


def right_name(name: str, known: Collection[str]) -> str | None:
    """Which variable is meant by an unknown name; "" if that cannot be said.

    None if the name is a variable of the user's own.
    """
    if name in RENAMED:
        return RENAMED[name]
    prefix = next((prefix for prefix in OURS + SHARED if name.startswith(prefix)), "")
    if name in known or name in OTHERS:
        return None
    if name.lower() in known:
        return name.lower()
    if not prefix:
        # Few names are compared, as a host may have hundreds of variables of its own.
        alike = [one for one in known if name[:1] in one[:2] and abs(len(one) - len(name)) <= 2]
        return next(iter(get_close_matches(name, alike, 1, _CLOSE_AS_A_WHOLE)), None)
    rest = name[len(prefix) :]
    if prefix in (*OURS, "components_") and f"castai_{rest}" in known:
        return f"castai_{rest}"
    ours = [one[len(prefix) :] for one in (*known, *OTHERS) if one.startswith(prefix)]
    # In a short word, two letters in the wrong order count as half of it.
    close = [one for one in ours if sorted(one) == sorted(rest)] or get_close_matches(rest, ours, 1, _CLOSE)
    if close:
        return prefix + close[0]
    return "" if prefix in OURS else None
