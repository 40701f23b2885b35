# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the user names: a pipe is refused instead of waited for, and a byte order mark is not part of the text."""

from __future__ import annotations

import base64
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.castai.onboarding.plugins.module_utils._clusters import connection
from ansible_collections.castai.onboarding.plugins.module_utils._engine import Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import (
    aws_session,
    azure_credentials,
    files,
    google_credentials,
    helm,
    https,
    kubeconfig,
    kubernetes,
    repositories,
    tls,
)
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.azure import Azure
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import CastAi
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.google import Google
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubeconfig import Server
from tests.sandbox.pki import Authority

READERS: dict[str, Callable[[str], Any]] = {
    "the API server's certificates": connection._read,
    "an Azure credential": lambda path: azure_credentials._read(path, "OPTION", "file"),
    "a Google key": lambda path: google_credentials._read(path, "OPTION"),
    "a kubeconfig": lambda path: kubeconfig._parsed(Path(path)),
    "a certificate of a kubeconfig": lambda path: kubeconfig._material({"key": path}, "key"),
    "a token of a kubeconfig": kubernetes._from_file,
    "Helm's repositories": lambda path: list(repositories._entries(Path(path))),
}

SDKS: dict[str, tuple[str, ...]] = {
    "AWS": ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "AWS's container": ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",),
    "CAST AI": ("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "the API server": ("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "Google or Azure": ("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "Helm": ("SSL_CERT_FILE", "SSL_CERT_DIR", "HELM_REGISTRY_CONFIG"),
}
"""What reads the file of an environment variable itself."""

CONNECTIONS: dict[str, Callable[[], Any]] = {
    "AWS": lambda: aws_session.Session({"region": "eu-central-1"}),
    "AWS's container": lambda: aws_session.Session({"region": "eu-central-1"}),
    "CAST AI": lambda: CastAi("https://api.cast.ai", "key"),
    "the API server": tls.by_system,
    "Google or Azure": https.by_system,
    "Helm": lambda: helm.Helm("/bin/true").check_version(),
}


@pytest.fixture(autouse=True)
def nobody_waits() -> Iterator[None]:
    """Whoever opens a pipe waits for somebody to write into it."""

    def late(_signal: int, _frame: Any) -> None:
        raise AssertionError("waited for the pipe")

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "REQUESTS_CA_BUNDLE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    os.mkfifo(tmp_path / "pipe")
    return str(tmp_path / "pipe")


@pytest.mark.parametrize(("what", "variable"), [(what, name) for what, names in SDKS.items() for name in names])
def test_a_pipe_in_the_environment_is_refused(
    what: str, variable: str, pipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, pipe)
    with pytest.raises(Refused) as caught:
        CONNECTIONS[what]()
    assert str(caught.value) == (
        f"The environment variable {variable} is '{pipe}', which is a pipe or device. Set it to a file."
    )


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_pipe_as_aws_configuration_is_refused(name: str, pipe: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / name).symlink_to(pipe)
    with pytest.raises(Refused, match=rf"^The AWS configuration file ~/\.aws/{name} is .* a pipe or device"):
        CONNECTIONS["AWS"]()


def test_a_pipe_as_the_token_file_of_a_profile_is_refused(pipe: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    entry = f"[profile pod]\nrole_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = {pipe}\n"
    (tmp_path / ".aws" / "config").write_text(entry, encoding="utf-8")
    with pytest.raises(Refused, match=r"^web_identity_token_file of profile pod is .*, which is a pipe or device"):
        aws_session.Session({"region": "eu-central-1", "profile": "pod"})


def test_what_is_not_read_may_be_a_pipe(pipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And /dev/null is a usual way to leave AWS's configuration out."""
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", pipe)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("SSL_CERT_FILE", pipe)
    aws_session.Session({"region": "eu-central-1", "access_key": "A", "secret_key": "s"})
    CastAi("https://api.cast.ai", "key", validate_certs=False)


BUNDLES: dict[str, tuple[Callable[[], Any], str]] = {
    "AWS": (
        lambda: aws_session.Session({"region": "eu-central-1"}),
        "^The environment variable REQUESTS_CA_BUNDLE is ",
    ),
    "AWS's own": (
        lambda: aws_session.Session({"region": "eu-central-1", "aws_ca_bundle": os.environ["AWS_CA_BUNDLE"]}),
        r"^AWS_CA_BUNDLE, which is used for castai_aws_ca_bundle \(option aws_ca_bundle\), is ",
    ),
    "Google": (
        lambda: Google({"google_ca_cert": os.environ["REQUESTS_CA_BUNDLE"]}),
        r"^REQUESTS_CA_BUNDLE, which is used for castai_google_ca_cert \(option google_ca_cert\), is ",
    ),
    "Azure": (
        lambda: Azure({"azure_ca_cert": os.environ["REQUESTS_CA_BUNDLE"]}),
        r"^REQUESTS_CA_BUNDLE, which is used for castai_azure_ca_cert \(option azure_ca_cert\), is ",
    ),
    "CAST AI": (lambda: CastAi("https://api.cast.ai", "k", ca_cert=os.environ["AWS_CA_BUNDLE"]), "^castai_ca_cert is "),
}


@pytest.mark.parametrize("cloud", BUNDLES)
@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (None, "which is not a file"),
        (b"", "which contains no valid PEM certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "which contains no valid PEM certificate"),
        ("-----BEGIN CERTIFICATE-----".encode("utf-16"), "which contains no valid PEM certificate"),
    ],
)
def test_certificates_that_cannot_be_read_are_refused_before_any_call(
    cloud: str, content: bytes | None, wrong: str, pipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pipe
    if content is not None:
        path = str(tmp_path / "ca.pem")
        Path(path).write_bytes(content)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")[cloud == "AWS" :]:
        monkeypatch.setenv(name, path)
    connect, origin = BUNDLES[cloud]
    with pytest.raises(Refused, match=rf"{origin}'{path}', {wrong}\. Set it to a file with the CA certificates for"):
        connect()


def test_a_pipe_as_the_token_file_of_an_external_account_is_refused(pipe: str) -> None:
    info = {"type": "external_account", "credential_source": {"file": pipe}}
    with pytest.raises(Refused, match=r"^credential_source\.file in ORIGIN is .*, which is a pipe or device"):
        google_credentials._of_info(info, "ORIGIN")


def test_a_pipe_as_a_chart_is_refused(pipe: str) -> None:
    with pytest.raises(Refused, match=r"is not a Helm chart \(it is a pipe or device, not a file\)"):
        helm.facts(Path(pipe))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_pipe_is_refused(read: Callable[[str], Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Exception, match=r"cannot be read \(it is a pipe or device, not a file\)"):
        read(str(tmp_path / "pipe"))


@pytest.mark.parametrize(
    ("reader", "text", "expected"),
    [
        ("a Google key", json.dumps({"type": "service_account"}), {"type": "service_account"}),
        ("a kubeconfig", "a: b\r\n", {"a": "b"}),
        ("a token of a kubeconfig", "token\r\n", "Bearer token"),
    ],
)
def test_a_byte_order_mark_is_left_out(reader: str, text: str, expected: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text, encoding="utf-8-sig", newline="")
    assert READERS[reader](str(tmp_path / "file")) == expected


TWO = [Authority(name).pem for name in ("one", "two")]
CLIENT = Authority("clients").issue("me")
MARK = "\ufeff".encode()

SHAPES: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "a byte order mark": lambda pem: MARK + pem.encode(),
    "Windows' line breaks": lambda pem: pem.replace("\n", "\r\n").encode(),
    "both": lambda pem: MARK + pem.replace("\n", "\r\n").encode(),
    "text before": lambda pem: f"Bag Attributes\n    friendlyName: x\n{pem}".encode(),
    "a comment in another encoding": lambda pem: "# f\u00fcr\n".encode("latin-1") + pem.encode(),
    "blanks at the ends of lines": lambda pem: pem.replace("\n", "  \n").encode(),
    "no line break at the end": lambda pem: pem.strip().encode(),
}
OF_KUBERNETES: dict[str, Callable[[str], bytes]] = {
    "joined by a Windows editor": lambda pem: pem.replace("-----BEGIN", "\ufeff-----BEGIN").encode(),
    "indented": lambda pem: pem.replace("\n", "\n    ").encode(),
}
"""What only Kubernetes' certificates may be, as OpenSSL overlooks or refuses them."""


@pytest.mark.parametrize("service", ["CAST AI", "AWS", "Google Cloud", "Azure"])
@pytest.mark.parametrize("shape", SHAPES)
def test_certificates_of_a_service_are_read_as_openssl_reads_them(shape: str, service: str, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(SHAPES[shape]("".join(TWO)))
    context = tls.by_file(str(tmp_path / "ca.pem"), "ORIGIN", service)
    assert context.cert_store_stats()["x509"] == 2


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("shape", {**SHAPES, **OF_KUBERNETES})
def test_certificates_of_an_api_server_are_read_as_kubectl_does_and_helm_gets_them_plain(
    shape: str, inline: bool, tmp_path: Path
) -> None:
    """Go overlooks a certificate that does not begin a line."""
    content = {**SHAPES, **OF_KUBERNETES}[shape]("".join(TWO))
    (tmp_path / "ca.pem").write_bytes(content)
    entry = {"k-data": base64.b64encode(content).decode()} if inline else {"k": str(tmp_path / "ca.pem")}
    found = [kubeconfig._material(entry, "k"), *([] if inline else [connection._read(entry["k"])])]
    for ca_pem in found:
        context = tls.context("https://k", ca_pem, validate_certs=True)
        assert context.cert_store_stats()["x509"] == 2
        written = json.loads(kubeconfig.write(Server("https://k", ca_pem), ""))["clusters"][0]["cluster"]
        assert base64.b64decode(written["certificate-authority-data"]).decode() == "".join(TWO)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_client_certificate_is_read_as_kubectl_does(shape: str, inline: bool, tmp_path: Path) -> None:
    entry = {}
    for key, pem in (("certificate", CLIENT.certificate), ("key", CLIENT.key)):
        content = SHAPES[shape](pem)
        (tmp_path / key).write_bytes(content)
        entry |= {f"{key}-data": base64.b64encode(content).decode()} if inline else {key: str(tmp_path / key)}
    pair = [kubeconfig._material(entry, key) for key in ("certificate", "key")]
    assert "\ufeff" not in "".join(pair)
    tls.context("https://k", TWO[0], True, "", *pair)


@pytest.mark.parametrize("content", [b"", b"\x30\x82", "-----BEGIN CERTIFICATE-----".encode("utf-16")])
def test_what_is_not_pem_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    path = str(tmp_path / "ca.pem")
    with pytest.raises(
        Refused, match=r"which cannot be read \(it is not PEM\)\. Set it to a file with the API server's"
    ):
        connection._read(path)
    with pytest.raises(kubeconfig.Wrong, match=rf"^the k '{path}' is not PEM$"):
        kubeconfig._material({"k": path}, "k")
    with pytest.raises(Refused, match="contains no valid PEM certificate"):
        files.load_certificates(path, "ORIGIN", "AWS", ssl.create_default_context())
