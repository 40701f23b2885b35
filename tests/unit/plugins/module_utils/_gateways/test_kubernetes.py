# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import itertools
import json
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import kubernetes as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.kubernetes import (
    Kubernetes,
    Rejected,
    by_kubeconfig,
    by_token,
    path_of,
)
from tests.sandbox.pki import Authority
from tests.support.https import reply
from tests.unit.plugins.conftest import Wire

TOKEN = "CANARY-bearer"
SECRET = path_of("v1", "Secret", "s", "n")
SECRETS = path_of("v1", "Secret", None, "n")
RESOURCES = json.loads((Path(__file__).parent / "resources-1.36.3.json").read_text(encoding="utf-8"))
"""Every kind that Kubernetes 1.36.3 serves by itself: API version, kind, plural, whether it lives in a namespace.

Collected from the built control plane: `resources` (without subresources, whose names have a slash) of GET /api/v1
and of GET /apis/GROUP/VERSION for each version that GET /apis lists.
"""


def refusal(status: int, message: str) -> Any:
    return reply(
        status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    )


@pytest.fixture
def cluster(wire: Wire) -> Kubernetes:
    return by_token(wire.url, TOKEN, wire.ca_pem, True)


def tokens(wire: Wire) -> list[str]:
    return [request.headers.get("authorization", "") for request in wire.script.received]


# Paths


@pytest.mark.parametrize(("version", "kind", "plural", "namespaced"), RESOURCES, ids=str)
def test_path_of_every_built_in_kind(version: str, kind: str, plural: str, namespaced: bool) -> None:
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    place = f"{root}/namespaces/n/{plural}" if namespaced else f"{root}/{plural}"
    assert path_of(version, kind, "x", "n") == f"{place}/x"
    assert path_of(version, kind, None, "n") == place
    assert path_of(version, kind, None, None) == f"{root}/{plural}"


# Verbs


def test_get_gives_the_object_as_it_is_and_none_for_what_is_not_there(wire: Wire, cluster: Kubernetes) -> None:
    wire.script.play(reply(200, {"kind": "Secret", "fieldOfTheFuture": [1]}), refusal(404, "not found"))
    assert cluster.get(SECRET) == {"kind": "Secret", "fieldOfTheFuture": [1]}
    assert cluster.get(SECRETS, labelSelector="owner=helm,name=a b") is None
    first, second = wire.script.received
    assert (first.method, first.path, first.query) == ("GET", "/api/v1/namespaces/n/secrets/s", "")
    assert (second.path, second.query) == ("/api/v1/namespaces/n/secrets", "labelSelector=owner%3Dhelm%2Cname%3Da+b")
    assert tokens(wire) == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize(
    ("write", "method", "content"),
    [
        (lambda cluster: cluster.create(SECRETS, {"a": 1}), "POST", "application/json"),
        (lambda cluster: cluster.replace(SECRET, {"a": 1}), "PUT", "application/json"),
        (lambda cluster: cluster.patch(SECRET, {"a": 1}), "PATCH", "application/merge-patch+json"),
        (lambda cluster: cluster.delete(SECRET, {"a": 1}), "DELETE", "application/json"),
    ],
)
def test_writes(
    wire: Wire, cluster: Kubernetes, write: Callable[[Kubernetes], object], method: str, content: str
) -> None:
    wire.script.play(reply(200, {"made": True}), refusal(409, "the object has been modified"))
    write(cluster)
    with pytest.raises(Conflict, match=r"the object has been modified\.$"):
        write(cluster)
    request = wire.script.received[0]
    assert (request.method, request.headers["content-type"], json.loads(request.body)) == (method, content, {"a": 1})
    assert ("fieldManager=castai-onboarding" in request.query) is (method != "DELETE")


def test_deleting_what_is_gone_is_success(wire: Wire, cluster: Kubernetes) -> None:
    wire.script.play(refusal(404, "not found"))
    cluster.delete(SECRET)


def test_writing_to_what_is_gone_is_a_failure(wire: Wire, cluster: Kubernetes) -> None:
    wire.script.play(refusal(404, 'namespaces "n" not found'))
    with pytest.raises(Rejected, match='namespaces "n" not found'):
        cluster.create(SECRETS, {})


@pytest.mark.parametrize(
    ("status", "allowed"), [({"allowed": True}, True), ({"allowed": False}, False), ({}, False), (None, False)]
)
def test_can_asks_for_an_access_review(wire: Wire, cluster: Kubernetes, status: Any, allowed: bool) -> None:
    wire.script.play(reply(201, {"status": status}))
    assert cluster.can("create", "apps", "deployments", "n") is allowed
    (request,) = wire.script.received
    assert (request.method, request.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
    assert json.loads(request.body)["spec"]["resourceAttributes"] == {
        "verb": "create",
        "group": "apps",
        "resource": "deployments",
        "namespace": "n",
    }


@pytest.mark.parametrize(
    ("body", "version"),
    [({"major": "1", "minor": "36"}, (1, 36)), ({"major": "1", "minor": "20+"}, (1, 20)), ({}, (0, 0))],
)
def test_version(wire: Wire, cluster: Kubernetes, body: Any, version: tuple[int, int]) -> None:
    wire.script.play(reply(200, body))
    assert cluster.version() == version


# Tokens that age


@pytest.fixture
def signing(wire: Wire) -> Kubernetes:
    fresh = (f"CANARY-signed-{number}" for number in itertools.count(1))
    return by_token(wire.url, None, wire.ca_pem, True, lambda: next(fresh))


def test_a_signed_token_serves_many_calls(wire: Wire, signing: Kubernetes) -> None:
    wire.script.play(reply(200, {}))
    for path in (SECRET, SECRETS, SECRET):
        signing.get(path)
    assert tokens(wire) == ["Bearer CANARY-signed-1"] * 3


def test_a_signed_token_is_renewed_by_its_age(wire: Wire, signing: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.script.play(reply(200, {}))
    signing.get(SECRET)
    monkeypatch.setattr(gateway, "TOKEN_SECONDS", 0.0)
    signing.get(SECRET)
    assert tokens(wire) == ["Bearer CANARY-signed-1", "Bearer CANARY-signed-2"]


def test_what_a_program_goes_by_is_renewed_by_its_age(
    wire: Wire, signing: Kubernetes, cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [signing.token(), signing.token(), cluster.token()] == ["CANARY-signed-1", "CANARY-signed-1", ""]
    monkeypatch.setattr(gateway, "TOKEN_SECONDS", 0.0)
    assert [signing.token(), cluster.token()] == ["CANARY-signed-2", ""]


@pytest.mark.parametrize("write", [False, True])
def test_a_signed_token_that_is_refused_is_renewed_once(wire: Wire, signing: Kubernetes, write: bool) -> None:
    wire.script.play(refusal(401, "Unauthorized"), reply(200, {"fine": True}))
    assert (signing.create(SECRETS, {}) if write else signing.get(SECRETS)) == {"fine": True}
    assert tokens(wire) == ["Bearer CANARY-signed-1", "Bearer CANARY-signed-2"]
    wire.script.play(refusal(401, "Unauthorized"))
    with pytest.raises(Rejected, match="does not recognize these credentials"):
        signing.get(SECRET)
    assert len(wire.script.received) == 2


def test_a_given_token_that_is_refused_is_not_tried_again(wire: Wire, cluster: Kubernetes) -> None:
    wire.script.play(refusal(401, "Unauthorized"))
    with pytest.raises(Rejected, match=r"Unauthorized\. The API server does not recognize these credentials"):
        cluster.get(SECRET)
    assert len(wire.script.received) == 1


# Trouble


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The recorded pauses; nothing really sleeps."""
    pauses: list[float] = []
    monkeypatch.setattr(gateway.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize("answer", [reply(429), reply(500), reply(502, b"<html>"), reply(503), reply(504), None])
def test_reads_are_repeated(wire: Wire, cluster: Kubernetes, hasty: list[float], answer: Any) -> None:
    wire.script.play(answer, answer, reply(200, {"fine": True}))
    assert cluster.get(SECRET) == {"fine": True}
    assert len(hasty) == 2


def test_writes_are_repeated_only_when_they_were_not_taken(wire: Wire, cluster: Kubernetes, hasty: list[float]) -> None:
    wire.script.play(reply(429), reply(201, {"fine": True}))
    assert cluster.create(SECRETS, {}) == {"fine": True}
    for answer in (reply(500), reply(503), None):
        wire.script.play(answer, reply(201, {"fine": True}))
        with pytest.raises(CallFailed):
            cluster.create(SECRETS, {})
    assert len(hasty) == 1


def test_the_server_says_how_long_to_wait(wire: Wire, cluster: Kubernetes, hasty: list[float]) -> None:
    """As API Priority and Fairness answers, or a server that starts or stops; a busy server does so for more than five
    tries."""
    later = [reply(429, None, ("Retry-After", "1"))] * 20
    for answers in (later, [reply(503, None, ("Retry-After", "1"))] * 20):
        wire.script.play(*answers, reply(201, {"fine": True}))
        assert cluster.create(SECRETS, {}) == cluster.get(SECRET) == {"fine": True}
    assert hasty == [1.0] * 40


def test_a_server_that_stays_throttled_is_told(wire: Wire, cluster: Kubernetes, hasty: list[float]) -> None:
    wire.script.play(reply(429, {"message": "Too many requests, please try again later."}, ("Retry-After", "1")))
    with pytest.raises(Rejected) as caught:
        cluster.get(SECRET)
    assert str(caught.value).endswith(
        ": Too many requests, please try again later. The API server limits how often it may be called. Run fewer hosts"
        " at a time (ansible-playbook --forks), or run again later."
    )
    assert 100 < sum(hasty) <= 120


def test_a_dry_run_writes_nothing_and_is_asked_again(wire: Wire, cluster: Kubernetes, hasty: list[float]) -> None:
    wire.script.play(None, reply(500), reply(200, {"metadata": {}}))
    assert cluster.create(SECRETS, {"a": 1}, dry_run=True) == {"metadata": {}}
    wire.script.play(None)
    with pytest.raises(CallFailed) as caught:
        cluster.patch(SECRET, {"a": 1}, dry_run=True)
    assert not caught.value.unsure
    with pytest.raises(CallFailed) as caught:
        cluster.patch(SECRET, {"a": 1})
    assert caught.value.unsure
    assert len(wire.script.received) == gateway.TRIES + 1


def test_a_server_that_stays_away_is_given_up(wire: Wire, cluster: Kubernetes, hasty: list[float]) -> None:
    wire.script.play(None)
    with pytest.raises(CallFailed, match=r"did not answer: .* Check that it is reachable from this machine"):
        cluster.get(SECRET)
    assert len(wire.script.received) == gateway.TRIES
    assert sum(hasty) < 10


UNALLOWED = "These credentials are not allowed to do this."
WAY = "change it, or exempt this object from it."


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refusal(403, "secrets is forbidden"), "secrets is forbidden. These credentials are not allowed to do this."),
        (
            refusal(403, 'secrets "s" is forbidden: User "u" cannot get resource "secrets"'),
            'secrets "s" is forbidden: User "u" cannot get resource "secrets". ' + UNALLOWED,
        ),
        (
            refusal(403, 'roles "r" is forbidden: user "u" (groups=["g"]) is attempting to grant'),
            'roles "r" is forbidden: user "u" (groups=["g"]) is attempting to grant. ' + UNALLOWED,
        ),
        *(
            (
                refusal(status, f"{said}: no"),
                f"{said}: no. This is a policy of the cluster, not a missing permission: {WAY}",
            )
            for status in (400, 403, 422)
            for said in (
                'admission webhook "a.b" denied the request',
                "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request",
            )
        ),
        (
            refusal(403, 'secrets "s" is forbidden: exceeded quota: q, requested: secrets=1'),
            'secrets "s" is forbidden: exceeded quota: q, requested: secrets=1.',
        ),
        (
            refusal(403, 'secrets "s" is forbidden: unable to create new content in namespace n'),
            'secrets "s" is forbidden: unable to create new content in namespace n.',
        ),
        (refusal(422, "spec is wrong."), "spec is wrong."),
        (reply(400, b"<html>no</html>"), "HTTP 400 <html>no</html>."),
        (reply(400), "HTTP 400."),
        (reply(302, None, ("Location", "https://elsewhere.example")), "HTTP 302."),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(wire: Wire, cluster: Kubernetes, answer: Any, sentence: str) -> None:
    wire.script.play(answer)
    with pytest.raises(Rejected) as caught:
        cluster.get(SECRET)
    assert str(caught.value) == f"GET /api/v1/namespaces/n/secrets/s at {wire.url}: {sentence}"
    assert len(wire.script.received) == 1


@pytest.mark.parametrize("body", [b"<html>Log in to the Wi-Fi</html>", b'{"kind": "half', b"[]", None])
def test_what_is_no_kubernetes_is_told(wire: Wire, cluster: Kubernetes, body: bytes | None) -> None:
    wire.script.play(reply(200, body))
    with pytest.raises(CallFailed, match=r"does not look like a Kubernetes API server\. It answered: "):
        cluster.get(SECRET)


def test_a_server_with_another_certificate_authority_is_not_talked_to(wire: Wire, hasty: list[float]) -> None:
    with pytest.raises(
        CallFailed, match=r"is not trusted: .* Set castai_kubernetes_ca_cert .* or set castai_kubernetes_v"
    ):
        by_token(wire.url, TOKEN, Authority("somebody else").pem, True).get(SECRET)
    assert (wire.script.received, hasty) == ([], [])


@pytest.mark.parametrize("ca_pem", ["no certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"])
def test_ca_certificates_that_are_none_are_refused(ca_pem: str) -> None:
    with pytest.raises(Refused, match=r"contain no valid PEM certificate\. Check castai_kubernetes_ca_cert \("):
        by_token("https://prod.example", TOKEN, ca_pem, True)


def test_a_bundle_with_remarks_in_any_language_will_do(wire: Wire) -> None:
    wire.script.play(reply(200, {"fine": True}))
    assert by_token(wire.url, TOKEN, f"# Prüfstelle\n{wire.ca_pem}# Ende\n", True).get(SECRET) == {"fine": True}


def test_certificates_are_not_checked_when_the_user_says_so_and_nothing_warns_of_it(
    wire: Wire, recwarn: pytest.WarningsRecorder
) -> None:
    wire.script.play(reply(200, {"fine": True}))
    assert by_token(wire.url, TOKEN, "", False).get(SECRET) == {"fine": True}
    assert [str(warning.message) for warning in recwarn] == []


def test_an_address_where_nothing_listens(hasty: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(CallFailed, match=f"{url} did not answer"):
            by_token(url, TOKEN, "", True).get(SECRET)


@pytest.mark.parametrize("host", ["", "http://10.0.0.1", "10.0.0.1:6443"])
def test_only_https_will_do_for_a_host(host: str) -> None:
    with pytest.raises(Refused, match="starting with https://"):
        by_token(host, TOKEN, "", True)


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN} {TOKEN}", f"{TOKEN}\u2026"])
def test_a_token_that_was_copied_badly_is_refused_unseen(wire: Wire, token: str) -> None:
    with pytest.raises(Refused, match="contains a space, line break or special character") as caught:
        by_token(wire.url, token, wire.ca_pem, True).get(SECRET)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("answer", [refusal(401, "no"), refusal(403, "no"), refusal(409, "no"), reply(200, b"<"), None])
def test_the_token_is_in_no_error(wire: Wire, cluster: Kubernetes, hasty: list[float], answer: Any) -> None:
    wire.script.play(answer)
    with pytest.raises((CallFailed, Conflict)) as caught:
        cluster.create(SECRETS, {"data": {"x": "CANARY-data"}})
    assert "CANARY" not in f"{caught.value} {caught.value!r} {vars(caught.value)} {caught.value.__cause__}"


# Kubeconfigs


def config(wire: Wire, user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    inline = {"certificate-authority-data": encoded(wire.ca_pem)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": wire.url, **(cluster or inline)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u"}},
            {"name": "there", "context": {"cluster": "gone", "user": "u"}},
        ],
    }


def written(folder: Path, content: Any) -> str:
    file = folder / "kubeconfig"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(file)


def test_a_kubeconfig_with_token_and_inline_certificates(wire: Wire, tmp_path: Path) -> None:
    wire.script.play(reply(200, {"fine": True}))
    cluster = by_kubeconfig(written(tmp_path, config(wire, {"token": TOKEN})), None)
    assert cluster.get(SECRET) == {"fine": True}
    assert (cluster.host, cluster.ca_pem()) == (wire.url, wire.ca_pem)
    assert tokens(wire) == [f"Bearer {TOKEN}"]
    cluster.close()


def test_a_kubeconfig_with_a_command_for_the_token(wire: Wire, tmp_path: Path) -> None:
    count = tmp_path / "count"
    program = tmp_path / "credentials.py"
    program.write_text(
        "import json, pathlib\n"
        f"file = pathlib.Path({str(count)!r})\n"
        "n = int(file.read_text()) + 1 if file.exists() else 1\n"
        "file.write_text(str(n))\n"
        "status = {'token': f'CANARY-run-{n}', 'expirationTimestamp': '2020-01-01T00:00:00Z'}\n"
        "version = 'client.authentication.k8s.io/v1'\n"
        "print(json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status}))\n",
        encoding="utf-8",
    )
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-S", str(program)],
        "interactiveMode": "Never",
    }
    wire.script.play(reply(200, {"fine": True}), refusal(401, "Unauthorized"), reply(200, {"fine": True}))
    cluster = by_kubeconfig(written(tmp_path, config(wire, {"exec": command})), "here")
    assert cluster.get(SECRET) == cluster.get(SECRET) == {"fine": True}
    first, second, third = tokens(wire)
    assert first == second
    assert third not in (first, "")
    cluster.close()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ADMIN = Authority("kOps").issue("kubecfg", groups=["system:masters"])
LOCKED = subprocess.run(
    ["openssl", "ec", "-aes256", "-passout", "pass:CANARY"], input=ADMIN.key, capture_output=True, text=True, check=True
).stdout
CERTIFICATE = {"client-certificate-data": encoded(ADMIN.certificate), "client-key-data": encoded(ADMIN.key)}
RUN = """
import ssl, sys, time
sys.path[:0] = {path}
from {module} import by_kubeconfig
def stay(*_arguments, **_keywords):
    print(flush=True)
    time.sleep(60)
ssl.SSLContext.load_cert_chain = stay
by_kubeconfig({kubeconfig!r}, None)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of this process and its children."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def keys_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.read_text(encoding="utf-8") == ADMIN.key]


def test_the_key_of_a_kubeconfig_is_the_users_alone_and_gone_once_it_is_read(
    wire: Wire, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[tuple[int, int]] = []

    load = ssl.SSLContext.load_cert_chain

    def watched(*arguments: Any, **keywords: Any) -> None:
        (key,) = keys_in(temporary)
        modes.append((key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777))
        load(*arguments, **keywords)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    by_kubeconfig(written(tmp_path, config(wire, CERTIFICATE)), None)
    assert modes == [(0o600, 0o700)]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client-key": "/no/such"}, "/no/such"),
        ({}, "has only one"),
        ({"client-key-data": encoded(Authority("x").key_pem)}, "cannot be used"),
        ({"client-key-data": encoded("CANARY")}, "not PEM in base64"),
        ({"client-key-data": encoded(LOCKED)}, "without a password"),
    ],
)
def test_of_a_kubeconfig_that_is_refused_nothing_stays(
    wire: Wire, tmp_path: Path, temporary: Path, changes: dict[str, str], sentence: str
) -> None:
    user = {"client-certificate-data": CERTIFICATE["client-certificate-data"], **changes}
    with pytest.raises(Refused, match=sentence) as caught:
        by_kubeconfig(written(tmp_path, config(wire, user)), None)
    assert "CANARY" not in str(caught.value)
    assert list(temporary.iterdir()) == []


def test_what_a_killed_run_left_of_a_kubeconfig_is_removed_by_the_next(
    wire: Wire, tmp_path: Path, temporary: Path
) -> None:
    kubeconfig = written(tmp_path, config(wire, CERTIFICATE))
    path = [entry for entry in sys.path if entry]
    code = RUN.format(path=path, module=gateway.__name__, kubeconfig=kubeconfig)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as run:
        assert run.stdout
        run.stdout.readline()
        by_kubeconfig(kubeconfig, None).close()
        (key,) = keys_in(temporary)
        run.kill()
    assert key.exists()
    by_kubeconfig(kubeconfig, None).close()
    assert list(temporary.iterdir()) == []


def test_a_kubeconfig_with_certificate_and_password(wire: Wire, tmp_path: Path) -> None:
    """What kOps exports for Kubernetes 1.17 and older (kubernetes/kops, pkg/kubeconfig/create_kubecfg.go)."""
    user = {**CERTIFICATE, "username": "admin", "password": "CANARY:pass word"}
    wire.script.play(reply(200, {"fine": True}))
    cluster = by_kubeconfig(written(tmp_path, config(wire, user)), None)
    assert cluster.get(SECRET) == {"fine": True}
    again = by_kubeconfig(written(tmp_path, cluster.kubeconfig()), None)
    assert again.get(SECRET) == {"fine": True}
    assert tokens(wire) == [f"Basic {encoded('admin:CANARY:pass word')}"] * 2
    (user,) = json.loads(again.kubeconfig())["users"]
    assert {key: value for key, value in user["user"].items() if key in CERTIFICATE} == CERTIFICATE
    again.close()
    cluster.close()


def test_a_context_that_is_not_there_is_told_in_a_short_sentence(wire: Wire, tmp_path: Path) -> None:
    """A shared kubeconfig may have hundreds of contexts, named by whatever its writer pasted."""
    many = config(wire, {"token": TOKEN})
    many["contexts"] = [{"name": f"https://me:CANARY@h/{'x' * 5000}", "context": {}}] + [
        {"name": f"arn:aws:eks:eu-central-1:111122223333:cluster/shop-{number}", "context": {}} for number in range(300)
    ]
    with pytest.raises(Refused, match=r"/shop-8 and 291 others\. Check castai_kubeconfig") as caught:
        by_kubeconfig(written(tmp_path, many), f"https://me:CANARY@h/{'y' * 5000}")
    assert "CANARY" not in str(caught.value)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    ("content", "context", "sentence"),
    [
        (None, None, "there is no such file"),
        ("", None, "it is empty, or not a kubeconfig"),
        ("just CANARY", None, "it is empty, or not a kubeconfig"),
        ("- CANARY", None, "it is empty, or not a kubeconfig"),
        ("users: [CANARY\n  x: : y", None, "line 2 is not YAML"),
        ("users: !CANARY x", None, "line 1 is not YAML"),
        ("users: [" * 3000, None, "it is not YAML"),
        ("users: CANARY", None, "its users are not a list of entries with a name and a user"),
        ({"apiVersion": "v1", "kind": "Config"}, None, "it has no current-context"),
        (lambda wire: config(wire, {"token": TOKEN}), "nowhere", "it has no context 'nowhere', only: here, there"),
        (lambda wire: config(wire, {"token": TOKEN}), "there", "it has no cluster 'gone', only: c"),
        (lambda wire: config(wire, {"token": TOKEN}, server=""), None, "its cluster has no server"),
        (lambda wire: config(wire, {"token": TOKEN}, **{"certificate-authority": "/no/such"}), None, "/no/such"),
        (lambda wire: config(wire, {"token": TOKEN}, **{"certificate-authority-data": "CANARY"}), None, "base64"),
        (lambda wire: config(wire, {"token": TOKEN}, server="http://10.0.0.1"), None, "to an https:// address"),
        (
            lambda wire: config(wire, {"token": TOKEN}, server="https://me:CANARY-pw@10.0.0.1"),
            None,
            "the address of its server contains a user name or password: move them to its user",
        ),
        (lambda wire: config(wire, {"token": TOKEN}, **{"proxy-url": "ftp://CANARY@proxy"}), None, "only http, https"),
        (lambda wire: config(wire, {"token": TOKEN}, **{"proxy-url": "http://u:CANARY#@proxy:1"}), None, "%XX"),
        (lambda wire: config(wire, {"token": TOKEN, "as": "admin"}), None, "its user impersonates another one (as)"),
        (lambda wire: config(wire, {"token": TOKEN, "as-uid": "7"}), None, "impersonates another one (as-uid), which"),
        (lambda wire: config(wire, {"token": TOKEN, "as-groups": ["a", "b"]}), None, "another one (as-groups), which"),
        (
            lambda wire: config(wire, {"token": TOKEN, "as": 7, "as-user-extra": {"scopes": ["x"]}}),
            None,
            "impersonates another one (as, as-user-extra), which is not supported: choose a context whose own user",
        ),
        (lambda wire: config(wire, {}), None, "its user has no credentials"),
        (
            lambda wire: config(
                wire, {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such"}}
            ),
            None,
            "the program '/no/such' that prints its credentials did not start (No such file or directory)",
        ),
    ],
)
def test_a_kubeconfig_that_is_no_use_is_refused(
    wire: Wire, tmp_path: Path, content: Any, context: str | None, sentence: str
) -> None:
    path = str(tmp_path / "none")
    if content is not None:
        path = written(tmp_path, content(wire) if callable(content) else content)
    with pytest.raises(
        Refused, match=r"Check castai_kubeconfig \(option kubeconfig\) and castai_context \(option context\)"
    ) as caught:
        by_kubeconfig(path, context)
    assert path in str(caught.value)
    assert sentence in str(caught.value)
    assert "CANARY" not in str(caught.value)


def test_the_kubeconfig_for_helm_leads_to_the_same_server_with_a_fresh_token(
    wire: Wire, signing: Kubernetes, tmp_path: Path
) -> None:
    wire.script.play(reply(200, {"fine": True}))
    signing.get(SECRET)
    again = by_kubeconfig(written(tmp_path, signing.kubeconfig()), None)
    assert again.get(SECRET) == {"fine": True}
    assert again.ca_pem() == wire.ca_pem
    assert tokens(wire) == ["Bearer CANARY-signed-1", "Bearer CANARY-signed-2"]
    again.close()


def test_the_kubeconfig_for_helm_skips_the_check_only_when_the_user_says_so(wire: Wire) -> None:
    checked = json.loads(by_token(wire.url, TOKEN, "", True).kubeconfig())["clusters"][0]["cluster"]
    unchecked = json.loads(by_token(wire.url, TOKEN, "", False).kubeconfig())["clusters"][0]["cluster"]
    assert (checked, unchecked) == ({"server": wire.url}, {"server": wire.url, "insecure-skip-tls-verify": True})


PROXY = "http://CANARY:CANARY@proxy.example:3128"


@pytest.mark.parametrize("of_environment", ["", PROXY, "another.example:3128"])
def test_the_kubeconfig_for_helm_leads_the_same_way(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_environment: str
) -> None:
    """A proxy of the environment is left out: Helm reads the environment itself, by the same rules."""
    monkeypatch.setenv("https_proxy", of_environment)
    monkeypatch.setenv("HTTPS_PROXY", of_environment)
    way = {"server": "https://prod.example", "tls-server-name": "kubernetes", "proxy-url": PROXY}
    with_proxy, without_proxy = (
        by_kubeconfig(written(tmp_path, config(wire, {"token": TOKEN}, **cluster)), None).kubeconfig()
        for cluster in (way, {"server": "https://prod.example"})
    )
    assert json.loads(with_proxy)["clusters"][0]["cluster"] == way
    assert json.loads(without_proxy)["clusters"][0]["cluster"] == {"server": "https://prod.example"}


# Answers of any shape

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "metadata", "items", "spec", "status", "data", "message", "labels", "name", "allowed", "major"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)
ODD = [
    b'{"a": ' + b"[" * 200_000,
    b"[" * 200_000,
    json.dumps({"message": "\x1b[31mno\n" + "x" * 3_000_000}).encode(),
    b"\xff",
]


class Pool:
    """Answers every request in the same way, without a network."""

    def __init__(self, status: int, data: bytes) -> None:
        self.status, self.data = status, data
        self.headers: dict[str, str] = {}

    def request(self, *_arguments: Any, **_keywords: Any) -> Pool:
        return self


def tried(status: int, data: bytes) -> None:
    """Make every call. Each failure is one short sentence."""
    kubernetes = by_token("https://prod.example", TOKEN, "", True)
    kubernetes._pool = Pool(status, data)
    calls: list[Any] = [
        lambda: kubernetes.get("/api/v1/namespaces"),
        lambda: kubernetes.create("/api/v1/namespaces", {}),
        lambda: kubernetes.replace("/api/v1/namespaces/a", {}),
        lambda: kubernetes.patch("/api/v1/namespaces/a", {}),
        lambda: kubernetes.delete("/api/v1/namespaces/a"),
        lambda: kubernetes.can("get", "", "pods"),
        kubernetes.version,
    ]
    for call in calls:
        sentence = ""
        try:
            found = call()
        except (CallFailed, Conflict) as failure:
            found, sentence = None, str(failure)
        assert len(sentence) < 1000
        assert sentence.isprintable()
        for item in (found.get("items") or ()) if isinstance(found, dict) and found.get("kind") != "Status" else ():
            assert isinstance((item.get("metadata") or {}).get("labels") or {}, dict)


@given(answer=TREES, status=st.sampled_from([200, 200, 200, 201, 400, 403, 409]))
@settings(max_examples=150, deadline=None)
def test_an_answer_of_any_shape_is_an_answer_or_one_sentence(answer: Any, status: int) -> None:
    tried(status, json.dumps(answer).encode())


@pytest.mark.parametrize("status", [200, 400, 409])
@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_an_answer_that_is_too_much_is_one_sentence(status: int, data: bytes) -> None:
    tried(status, data)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"items": ["x"]}, "items is not a list of objects"),
        ({"items": {}}, "items is not a list of objects"),
        ({"items": [{"metadata": []}]}, "metadata is not an object"),
        ({"metadata": {"annotations": {"a": 1}}}, "metadata.annotations is not a map of strings"),
        ({"metadata": {"name": 7}}, "metadata has another field that is not text"),
        ({"data": "x"}, "data is not an object"),
    ],
)
def test_an_object_of_another_shape_is_told(wire: Wire, answer: Any, sentence: str) -> None:
    wire.script.play(reply(200, answer))
    with pytest.raises(
        CallFailed, match="does not look like a Kubernetes API server: in its answer to GET /api"
    ) as caught:
        by_token(wire.url, TOKEN, wire.ca_pem, True).get("/api/v1/namespaces")
    assert sentence in str(caught.value)


def test_a_write_whose_answer_is_lost_may_have_been_done(wire: Wire) -> None:
    wire.script.play(None)
    kubernetes = by_token(wire.url, TOKEN, wire.ca_pem, True)
    with pytest.raises(CallFailed) as caught:
        kubernetes.create("/api/v1/namespaces", {})
    assert caught.value.unsure
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = by_token(f"https://127.0.0.1:{unused.getsockname()[1]}", TOKEN, wire.ca_pem, True)
        with pytest.raises(CallFailed) as caught:
            nobody.create("/api/v1/namespaces", {})
    assert not caught.value.unsure


@pytest.mark.parametrize("token", ["CANARY-1\nCANARY-2", "CANARY-1\r\nX: CANARY-2", "CANARY 3", "CANARY-\u00fc"])
def test_a_token_file_with_more_than_a_token_is_told_by_its_name(wire: Wire, tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    file.write_text(f"{token}\n", encoding="utf-8")
    with pytest.raises(
        Refused, match=r"its tokenFile '.*token' has a space, line break or special character"
    ) as caught:
        by_kubeconfig(written(tmp_path, config(wire, {"tokenFile": str(file)})), None)
    assert "CANARY" not in str(caught.value)


ADDRESS = "https://me:CANARY-pw@h.example/file"
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": ADDRESS, "installHint": f"See {ADDRESS}"}


@pytest.mark.parametrize(
    ("user", "cluster"),
    [
        ({"tokenFile": ADDRESS}, {}),
        ({"client-certificate": ADDRESS, "client-key": ADDRESS}, {}),
        ({"token": TOKEN}, {"certificate-authority": ADDRESS}),
        ({"exec": EXEC}, {}),
        ({"exec": {**EXEC, "interactiveMode": "Always"}}, {}),
        ({"exec": {**EXEC, "command": ADDRESS.replace("CANARY", "CANARY\0")}}, {}),
    ],
)
def test_an_address_in_place_of_a_name_is_shown_without_its_password(
    tmp_path: Path, wire: Wire, user: dict[str, Any], cluster: dict[str, Any]
) -> None:
    path = written(tmp_path, config(wire, user, **cluster))
    with pytest.raises(Refused, match=r"^kubeconfig .") as caught:
        by_kubeconfig(path, None)
    assert "CANARY" not in str(caught.value)
    assert "h.example" in str(caught.value)


@pytest.mark.parametrize("path", ["{" * 5000, "~nobody-of-this-name/config"])
def test_a_text_that_is_no_path_is_no_kubeconfig(path: str) -> None:
    with pytest.raises(Refused, match="there is no such file"):
        by_kubeconfig(path, None)
