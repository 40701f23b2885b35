# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Azure's own command line with the world's Azure, as users use it by hand.

`make check-az`, if `az` is installed. Not part of `make test`: az takes 700 MB.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sandbox.proxy import Proxy
from tests.unit.sandbox.azure_client import GROUP_ID, OPERATOR_ID, Azures, cluster

AZ = shutil.which("az")
ROLE = f"--role castai-cli --scope {GROUP_ID}"
FEDERATED = "identity federated-credential"
TRUST = "--issuer https://accounts.google.com --subject 1 --audiences api://AzureADTokenExchange"
COMMANDS = (
    "login --service-principal -u {client_id} -p {secret} --tenant {tenant}",
    "aks show -g shop -n shop",
    "aks get-credentials -g shop -n shop -f {folder}/kubeconfig --format exec",
    "ad app create --display-name castai-cli --sign-in-audience AzureADMyOrg --query appId -o tsv",
    "ad app list --display-name castai-cli",
    "ad app show --id {app}",
    "ad sp create --id {app}",
    "ad app credential reset --id {app} --append --display-name cli",
    "ad app credential list --id {app}",
    "ad app federated-credential create --id {app} --parameters {folder}/federated.json",
    "ad app federated-credential list --id {app}",
    "role definition create --role-definition {folder}/role.json",
    f"role assignment create --assignee {{app}} {ROLE}",
    "role assignment list --assignee {app} -g shop",
    f"role assignment delete --assignee {{app}} {ROLE}",
    f"role definition delete --name castai-cli --scope {GROUP_ID}",
    "identity create -g shop -n castai-cli",
    f"{FEDERATED} create -g shop --identity-name castai-cli -n castai {TRUST}",
    f"{FEDERATED} list -g shop --identity-name castai-cli",
    f"{FEDERATED} delete -g shop --identity-name castai-cli -n castai --yes",
    "identity delete -g shop -n castai-cli",
    "provider show -n Microsoft.ManagedIdentity",
    "lock list -g shop",
    "ad app delete --id {app}",
)


@pytest.mark.skipif(AZ is None, reason="az is not installed here")
def test_az_does_what_users_do_by_hand(tmp_path: Path) -> None:
    azures = Azures()
    azures.azure.add_cluster(cluster("shop"))
    azures.do("strip_operator", graph=["Application.ReadWrite.All"])
    before = azures.azure.state()
    proxy = Proxy(azures.gate, [azures.azure])
    trust = {"name": "castai-cli", "issuer": "https://accounts.google.com", "subject": "1"}
    role = {"Name": "castai-cli", "Description": "d", "Actions": ["Microsoft.Compute/*/read"]}
    for name, text in {
        "ca.pem": proxy.ca_pem,
        "federated.json": json.dumps({**trust, "audiences": ["api://AzureADTokenExchange"]}),
        "role.json": json.dumps({**role, "AssignableScopes": [GROUP_ID]}),
    }.items():
        (tmp_path / name).write_text(text)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AZURE_CONFIG_DIR": str(tmp_path / "az"),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "AZURE_CORE_LOGIN_EXPERIENCE_V2": "false",
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
        "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
    }
    known = {**azures.operator(), "folder": str(tmp_path)}
    for command in COMMANDS:
        told = command.format(**{"app": "", **known})
        done = subprocess.run(["az", *told.split()], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if command.startswith("ad app create"):
            known["app"] = done.stdout.strip()
    assert azures.azure.take_defects() == []
    after = azures.azure.state()
    assert after.pop("deleted_applications") == ["castai-cli"]
    assert after == {name: value for name, value in before.items() if name != "deleted_applications"}
    assert {entry.call.who for entry in azures.gate.journal.since(0) if entry.call.write} == {OPERATOR_ID}
    assert "kubelogin" in (tmp_path / "kubeconfig").read_text()
