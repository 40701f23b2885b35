# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the gateway handles everything that a server, or a proxy in front of it, may answer."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from email.message import Message
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.castai.onboarding.plugins.module_utils._engine import CallFailed, Conflict, Refused
from ansible_collections.castai.onboarding.plugins.module_utils._gateways import castai as gateway
from ansible_collections.castai.onboarding.plugins.module_utils._gateways.castai import (
    PATIENCE,
    PATIENCE_UNANSWERED,
    CastAi,
    Cluster,
    Rejected,
    by_options,
)
from ansible_collections.castai.onboarding.plugins.module_utils._patience import THROTTLED
from tests.sandbox.gate import Stream
from tests.sandbox.pki import Authority
from tests.support.https import reply
from tests.support.tunnel import Tunnel
from tests.support.tunnel import serve as serve_tunnel
from tests.unit.plugins.conftest import Wire

KEY = "CANARY-0123456789abcdef"
ID = "5b0a1ff3-5a57-4d4a-8f5d-0a6f5c1f0d7e"
RECORD = {
    "id": ID,
    "name": "shop",
    "providerType": "eks",
    "status": "ready",
    "agentStatus": "online",
    "organizationId": "org",
    "credentialsId": None,
    "reconcileError": None,
    "eks": {"accountId": "111122223333", "region": "eu-central-1", "clusterName": "shop", "tags": {"a": "b"}},
    "somethingNew": {"that": ["nobody", "knows"]},
}
CLUSTER = Cluster(
    ID,
    "shop",
    "eks",
    "ready",
    "online",
    "org",
    "",
    "",
    {"accountId": "111122223333", "region": "eu-central-1", "clusterName": "shop"},
)


class Patient:
    """A gateway whose sleep only counts the seconds."""

    def __init__(self, url: str, key: str = KEY, ca_cert: str = "") -> None:
        self.pauses: list[float] = []
        self.castai = CastAi(url, key, ca_cert=ca_cert, sleep=self.pauses.append)


@pytest.fixture
def patient(wire: Wire) -> Patient:
    return Patient(wire.url)


# Verbs


def test_list_shows_every_cluster_and_ignores_what_it_does_not_know(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(200, {"items": [RECORD, {"id": "bare"}]}))
    bare = Cluster("bare", "", "", "", "", "", "", "", {})
    assert patient.castai.list_clusters() == (CLUSTER, bare)
    (request,) = wire.script.received
    assert (request.method, request.path) == ("GET", "/v1/kubernetes/external-clusters")
    assert request.headers["x-api-key"] == KEY
    assert request.headers["user-agent"] == "castai.onboarding"


@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": []}, None])
def test_an_organization_without_clusters(wire: Wire, patient: Patient, body: Any) -> None:
    wire.script.play(reply(200, body))
    assert patient.castai.list_clusters() == ()


def test_a_cluster_that_is_not_found_is_none(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(404, {"message": "Cluster not found"}), reply(200, RECORD))
    assert patient.castai.get_cluster(ID) is None
    assert patient.castai.get_cluster(ID) == CLUSTER
    assert patient.pauses == []


def test_register_sends_name_and_block_and_gets_the_record(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(200, RECORD))
    block = {"eks": {"accountId": "111122223333", "region": "eu-central-1", "clusterName": "shop"}}
    assert patient.castai.register_cluster("shop", block) == CLUSTER
    (request,) = wire.script.received
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {"name": "shop", **block}


def test_create_token(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(200, {"token": "CANARY-token"}))
    assert patient.castai.create_token(ID) == "CANARY-token"
    (request,) = wire.script.received
    assert (request.method, request.path) == ("POST", f"/v1/kubernetes/external-clusters/{ID}/token")


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 7}, None])
def test_an_answer_without_a_token_is_a_failure(wire: Wire, patient: Patient, body: Any) -> None:
    wire.script.play(reply(200, body))
    with pytest.raises(CallFailed, match="contains no token"):
        patient.castai.create_token(ID)


@pytest.mark.parametrize("body", [{}, {"id": ""}, None])
def test_an_answer_without_a_cluster_is_a_failure(wire: Wire, patient: Patient, body: Any) -> None:
    wire.script.play(reply(200, body))
    with pytest.raises(CallFailed, match="without a cluster ID"):
        patient.castai.register_cluster("shop", {})
    with pytest.raises(CallFailed, match="without a cluster ID"):
        patient.castai.get_cluster(ID)


@pytest.mark.parametrize(
    ("status", "body", "accepted"),
    [(200, RECORD, True), (401, {}, False), (403, {}, False), (404, {}, False)],
)
def test_accepts_asks_with_the_other_key(wire: Wire, patient: Patient, status: int, body: Any, accepted: bool) -> None:
    wire.script.play(reply(status, body))
    assert patient.castai.accepts("CANARY-other", ID) is accepted
    assert [request.headers["x-api-key"] for request in wire.script.received] == ["CANARY-other"]


@pytest.mark.parametrize("key", ["", "CANARY-other\n", "CANARY other", "CANARY-\u00fcber"])
def test_a_key_that_cannot_be_sent_is_not_accepted(wire: Wire, patient: Patient, key: str) -> None:
    wire.script.play(reply(200, RECORD))
    assert patient.castai.accepts(key, ID) is False
    assert wire.script.received == []


# Accepted answers


def test_too_many_requests_waits_as_long_as_it_is_told(wire: Wire, patient: Patient) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=30), usegmt=True)
    wire.script.play(
        reply(429, {"message": "slow"}, ("Retry-After", "7")),
        reply(429, {"message": "slow"}, ("Retry-After", date)),
        reply(200, RECORD),
    )
    assert patient.castai.get_cluster(ID) == CLUSTER
    assert patient.pauses[0] == 7
    assert 25 < patient.pauses[1] <= 30


@pytest.mark.parametrize("header", [(), (("Retry-After", ""),), (("Retry-After", "soon"),), (("Retry-After", "-4"),)])
def test_too_many_requests_without_a_usable_time_backs_off_with_jitter(
    wire: Wire, patient: Patient, header: tuple[tuple[str, str], ...]
) -> None:
    wire.script.play(*[reply(429, {"message": "slow"}, *header)] * 3, reply(200, RECORD))
    assert patient.castai.get_cluster(ID) == CLUSTER
    assert [bottom <= pause <= 2 * bottom for bottom, pause in zip((0.5, 1, 2), patient.pauses, strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_recovers_is_waited_for(wire: Wire, patient: Patient, status: int, method: str) -> None:
    wire.script.play(reply(status, b"<html>bad gateway</html>"), reply(status), reply(200, RECORD))
    if method == "GET":
        assert patient.castai.get_cluster(ID) == CLUSTER
    else:
        assert patient.castai.register_cluster("shop", {}) == CLUSTER
    assert len(patient.pauses) == 2


def test_an_internal_error_passes_for_reads_only(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(500, {"message": "Internal Server Error"}), reply(200, RECORD))
    assert patient.castai.get_cluster(ID) == CLUSTER
    wire.script.play(reply(500, {"message": "Internal Server Error"}), reply(200, RECORD))
    with pytest.raises(Rejected, match="HTTP 500 Internal Server Error"):
        patient.castai.register_cluster("shop", {})
    assert [request.method for request in wire.script.received] == ["POST", "GET", "GET", "GET"]


@pytest.mark.parametrize(("status", "longest"), [(429, THROTTLED), (503, PATIENCE)])
def test_patience_has_an_end_and_the_last_answer_is_told(
    wire: Wire, patient: Patient, status: int, longest: float
) -> None:
    wire.script.play(reply(status, {"message": "not now"}))
    with pytest.raises(Rejected, match=f"answered HTTP {status} not now"):
        patient.castai.list_clusters()
    assert longest / 2 < sum(patient.pauses) <= longest
    assert max(patient.pauses) <= 20


@pytest.mark.parametrize("status", [429, 503])
def test_no_pause_is_longer_than_the_one_asked_for(wire: Wire, patient: Patient, status: int) -> None:
    wire.script.play(*[reply(status, {"message": "not now"}, ("Retry-After", "1"))] * 40, reply(200, RECORD))
    assert patient.castai.get_cluster(ID) == CLUSTER
    assert patient.pauses == [1.0] * 40


def test_a_long_time_to_wait_is_not_slept_through_but_told(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(429, {"message": "later"}, ("Retry-After", "86400")))
    with pytest.raises(Rejected) as caught:
        patient.castai.list_clusters()
    assert str(caught.value).partition("HTTP 429 ")[2] == (
        "later. CAST AI limits how often this API key may call. It asks to wait 86400 s. Run fewer hosts at a time"
        " (ansible-playbook --forks), or run again later."
    )
    assert patient.pauses == []


def test_a_lost_answer_is_asked_for_again(wire: Wire, patient: Patient) -> None:
    wire.script.play(None, reply(200, RECORD))
    assert patient.castai.register_cluster("shop", {"eks": {}}) == CLUSTER


PRINCIPAL = reply(200, {"arn": "arn:aws:iam::809060229965:user/cast-crossrole"})
BROKEN = reply(500, {"message": "Internal Server Error"})


@pytest.mark.parametrize("answers", [[None, BROKEN, PRINCIPAL], [reply(502), BROKEN, PRINCIPAL], [BROKEN, PRINCIPAL]])
def test_a_principal_that_is_there_already_is_read(wire: Wire, patient: Patient, answers: list[Any]) -> None:
    """Our own write, whose answer was lost, or another operator's at the same time."""
    wire.script.play(*answers)
    assert patient.castai.create_principal(ID) == "arn:aws:iam::809060229965:user/cast-crossrole"
    assert [one.method for one in wire.script.received][-1] == "GET"


@pytest.mark.parametrize(("answers", "unsure"), [([BROKEN, reply(404)], True), ([reply(403)], False)])
def test_a_principal_that_is_not_there_is_a_failure(
    wire: Wire, patient: Patient, answers: list[Any], unsure: bool
) -> None:
    wire.script.play(*answers)
    with pytest.raises(Rejected) as answer:
        patient.castai.create_principal(ID)
    assert answer.value.unsure is unsure


NOT_YET = reply(400, {"message": "Forbidden", "fieldViolations": [{"field": "credentials", "description": "no"}]})
NO = reply(403, {"message": "Forbidden"})


@pytest.mark.parametrize(
    ("answers", "final"),
    [
        ([NO], True),
        ([NOT_YET, NO], True),
        ([reply(429), NO], True),
        ([None, NO], False),
        ([reply(502), NO], False),
        ([reply(503), NOT_YET, NO], False),
        ([NOT_YET, None, NO], False),
        ([reply(500)], False),
        ([reply(429)], True),
    ],
)
def test_a_refusal_is_final_when_no_earlier_try_may_have_been_taken(
    wire: Wire, patient: Patient, answers: list[Any], final: bool
) -> None:
    wire.script.play(*answers)
    with pytest.raises(Rejected) as answer:
        patient.castai.set_key(ID, "AKIA", "CANARY")
    assert answer.value.final is final


BLOCK = {"eks": {"accountId": "111122223333", "region": "eu-central-1", "clusterName": "shop"}}
ARN = "arn:aws:iam::809060229965:user/cast-crossrole"
LATE = [None, reply(504, b"<html>"), reply(502), reply(500, {"message": "Internal"}), reply(409, {"message": "exists"})]


@pytest.mark.parametrize("answer", LATE)
def test_a_registration_whose_answer_is_lost_is_read_back_before_it_is_repeated(
    wire: Wire, patient: Patient, answer: Any
) -> None:
    gone = {**RECORD, "id": "old", "status": "archived"}
    wire.script.play(answer, reply(200, {"items": [gone, {"id": "other"}, RECORD]}))
    assert patient.castai.register_cluster("shop", BLOCK) == CLUSTER
    assert [request.method for request in wire.script.received] == ["POST", "GET"]


@pytest.mark.parametrize("answer", LATE)
def test_a_principal_whose_answer_is_lost_or_that_another_run_made_is_read_back(
    wire: Wire, patient: Patient, answer: Any
) -> None:
    wire.script.play(answer, reply(200, {"arn": ARN}))
    assert patient.castai.create_principal(ID) == ARN
    assert [request.method for request in wire.script.received] == ["POST", "GET"]


@pytest.mark.parametrize("status", [409, 500])
def test_what_another_run_is_just_making_shows_a_little_later(wire: Wire, patient: Patient, status: int) -> None:
    wire.script.play(reply(status, {"message": "no"}), reply(404), reply(503), reply(200, {"arn": ARN}))
    assert patient.castai.create_principal(ID) == ARN


def test_what_was_certainly_not_done_is_repeated(wire: Wire, patient: Patient) -> None:
    wire.script.play(None, reply(404), reply(200, {"arn": ARN}))
    assert patient.castai.create_principal(ID) == ARN
    assert [request.method for request in wire.script.received] == ["POST", "GET", "POST"]


@pytest.mark.parametrize(
    ("answer", "error"), [(reply(409, {"message": "exists"}), Conflict), (reply(500, {"message": "no"}), Rejected)]
)
def test_what_cannot_be_read_back_claims_nothing(wire: Wire, patient: Patient, answer: Any, error: Any) -> None:
    wire.script.play(answer, reply(403, {"message": "not yours"}))
    with pytest.raises(error) as caught:
        patient.castai.create_principal(ID)
    assert getattr(caught.value, "unsure", True)


@pytest.mark.parametrize("call", ["register_cluster", "create_token", "create_principal", "set_role"])
@pytest.mark.parametrize("answer", [None, reply(200, b"<html>"), reply(200, b"[7]"), reply(504)])
def test_a_write_whose_answer_is_lost_for_good_may_have_been_done(
    wire: Wire, patient: Patient, call: str, answer: Any
) -> None:
    wire.script.play(answer)
    arguments = {"register_cluster": ("shop", BLOCK), "set_role": (ID, "eks", ARN)}.get(call, (ID,))
    with pytest.raises(CallFailed) as caught:
        getattr(patient.castai, call)(*arguments)
    assert caught.value.unsure


def test_what_was_never_sent_was_not_done() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Patient(f"https://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(CallFailed) as caught:
            nobody.castai.set_role(ID, "eks", ARN)
    assert not caught.value.unsure


def broken_off() -> Iterator[bytes]:
    yield json.dumps(RECORD).encode()[:40]
    raise ConnectionError


def test_an_answer_that_breaks_off_is_asked_for_again(wire: Wire, patient: Patient) -> None:
    wire.script.play(Stream(200, (), b"", broken_off()), reply(200, RECORD))
    assert patient.castai.get_cluster(ID) == CLUSTER
    assert len(wire.script.received) == 2


# Rejected answers


def test_field_violations_and_the_request_id_are_told(wire: Wire, patient: Patient) -> None:
    violations = [
        {"field": "eks.region", "description": "must not be empty"},
        {"field": "name", "description": "is too long"},
        "nonsense",
    ]
    body = {"message": "Bad Request", "fieldViolations": violations}
    wire.script.play(reply(400, body, ("X-Castai-Request-Id", "r-77")))
    with pytest.raises(Rejected) as caught:
        patient.castai.register_cluster("shop", {})
    assert str(caught.value) == (
        f"Could not register cluster shop: POST {wire.url}/v1/kubernetes/external-clusters answered HTTP 400"
        " Bad Request (eks.region: must not be empty; name: is too long), request ID r-77."
    )
    assert (caught.value.status, caught.value.message) == (400, "Bad Request")
    assert len(wire.script.received) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "CAST AI does not recognize the API key. Check castai_api_key"), (403, "Use a key with full access")],
)
def test_a_key_that_is_refused_is_told_with_the_fix(wire: Wire, patient: Patient, status: int, advice: str) -> None:
    wire.script.play(reply(status, {"message": "no"}))
    with pytest.raises(Rejected, match=advice):
        patient.castai.list_clusters()
    assert patient.pauses == []


@pytest.mark.parametrize("body", [None, b"<html>Bad Request</html>", b"[1, 2]", b'{"message": "half', b'"text"'])
def test_a_refusal_without_a_readable_body_tells_its_status(wire: Wire, patient: Patient, body: bytes | None) -> None:
    wire.script.play(reply(400, body))
    with pytest.raises(Rejected, match=r"answered HTTP 400 Bad Request\.$"):
        patient.castai.list_clusters()


@pytest.mark.parametrize("body", [b"<html>Log in to the Wi-Fi</html>", b'{"items": [{"id": "half'])
def test_an_answer_that_is_no_json_tells_of_address_and_proxy(wire: Wire, patient: Patient, body: bytes) -> None:
    wire.script.play(reply(200, body))
    with pytest.raises(CallFailed, match="Check castai_api_url, and whether a proxy answered instead"):
        patient.castai.list_clusters()
    assert patient.pauses == []


@pytest.mark.parametrize("body", [b"[]", b"7", b"null"])
def test_json_that_is_no_object_is_a_failure(wire: Wire, patient: Patient, body: bytes) -> None:
    wire.script.play(reply(200, body))
    with pytest.raises(CallFailed, match="not a JSON object"):
        patient.castai.list_clusters()


def test_a_redirect_is_not_followed(wire: Wire, patient: Patient) -> None:
    wire.script.play(reply(302, None, ("Location", f"{wire.url}/elsewhere")))
    with pytest.raises(Rejected, match="answered HTTP 302 Found"):
        patient.castai.list_clusters()
    assert [request.path for request in wire.script.received] == ["/v1/kubernetes/external-clusters"]


# No answer


def test_an_address_where_nothing_listens_shows_soon(patient: Patient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Patient(f"https://127.0.0.1:{unused.getsockname()[1]}")
        said = r"Could not list the clusters: https://127\.0\.0\.1:\d+ did not answer \(Connection refused\)"
        with pytest.raises(CallFailed, match=said):
            nobody.castai.list_clusters()
    assert sum(nobody.pauses) <= PATIENCE_UNANSWERED


@pytest.mark.parametrize(
    ("tunnel", "advice"),
    [
        (Tunnel(0, "me:CANARY"), "407 Proxy Authentication Required). Put USER:PASSWORD@ before the proxy's name in"),
        (Tunnel(0, said="403 Forbidden"), "403 Forbidden). Allow this address in the proxy of HTTPS_PROXY, or"),
        (Tunnel(0, said="503 Service Unavailable"), "503 Service Unavailable)."),
    ],
)
def test_a_proxy_that_does_not_let_through_is_told(
    tunnel: Tunnel, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_tunnel(tunnel):
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:CANARY-wrong@localhost:{tunnel.port}")
        with pytest.raises(CallFailed) as caught:
            Patient("https://api.cast.ai").castai.list_clusters()
    way = f"through proxy http://localhost:{tunnel.port}"
    assert f"https://api.cast.ai did not answer {way} (Tunnel connection failed: {advice}" in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "exceptions", "says"),
    [
        ("socks5://me:CANARY@proxy:1080", "", "HTTPS_PROXY is a proxy with scheme socks5://, but CAST AI is only"),
        ("https://me:CANARY@proxy", "", "HTTPS_PROXY is a proxy with scheme https://, but CAST AI is only reached"),
        ("http://me:1/CANARY@proxy", "", "HTTPS_PROXY is not the address of a proxy: set it to SCHEME://HOST:PORT"),
        ("socks5://me:CANARY@proxy:1080", "cast.ai", ""),
        ("http://me:CANARY@proxy", "", ""),
    ],
)
def test_a_proxy_that_cannot_lead_to_castai_is_refused_unseen(
    proxy: str, exceptions: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", exceptions)
    options = {"castai_api_url": "https://api.cast.ai", "castai_api_key": "key", "castai_validate_certs": True}
    if not says:
        by_options(options)
        return
    with pytest.raises(Refused, match=says) as caught:
        by_options(options)
    assert "CANARY" not in str(caught.value)


def test_a_server_that_never_answers_shows_soon(wire: Wire, patient: Patient) -> None:
    wire.script.play(None)
    with pytest.raises(CallFailed, match="did not answer"):
        patient.castai.list_clusters()
    assert sum(patient.pauses) <= PATIENCE_UNANSWERED


def test_a_certificate_of_somebody_else_is_told_of(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(CallFailed, match=r"(?i)certificate"):
        Patient(wire.url).castai.list_clusters()


def test_certificates_are_not_checked_when_the_user_says_so(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    wire.script.play(reply(200, RECORD))
    assert CastAi(wire.url, KEY, validate_certs=False).get_cluster(ID) == CLUSTER


def test_an_authority_that_only_castai_ca_cert_has_is_enough(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    wire.script.play(reply(200, RECORD))
    options = {"castai_api_url": wire.url, "castai_api_key": KEY, "castai_validate_certs": True}
    castai = by_options({**options, "castai_ca_cert": str(wire.ca_file)})
    assert castai.get_cluster(ID) == CLUSTER
    assert castai.accepts("CANARY-token", ID)


def test_an_authority_in_castai_ca_cert_beats_those_of_the_system(wire: Wire, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(Authority("another").pem, encoding="ascii")
    with pytest.raises(CallFailed, match=r"(?i)certificate"):
        Patient(wire.url, ca_cert=str(other)).castai.list_clusters()
    assert wire.script.received == []


def test_a_castai_ca_cert_without_a_certificate(wire: Wire, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("\n")
    with pytest.raises(Refused, match=r"^castai_ca_cert is '.*', which contains no valid PEM certificate\. Set"):
        Patient(wire.url, ca_cert=str(empty)).castai.list_clusters()


def test_a_castai_ca_cert_that_is_not_there() -> None:
    with pytest.raises(
        Refused,
        match=(
            r"castai_ca_cert is '/no/such/ca\.pem', which is not a file."
            " Set it to a file with the CA cert"
        ),
    ):
        CastAi("https://api.cast.ai", KEY, ca_cert="/no/such/ca.pem")


# Options


@pytest.mark.parametrize("url", ["", "http://api.cast.ai", "api.cast.ai", "file:///etc/passwd"])
def test_only_https_will_do(url: str) -> None:
    with pytest.raises(Refused, match="Set it to an address that starts with https://"):
        CastAi(url, KEY)


def test_a_slash_at_the_end_of_the_address_does_not_matter(wire: Wire) -> None:
    wire.script.play(reply(200, {}))
    Patient(f"{wire.url}/").castai.list_clusters()
    assert wire.script.received[0].path == "/v1/kubernetes/external-clusters"


@pytest.mark.parametrize(
    "key", [f"{KEY}\n", f"{KEY}\r\nX-Other: 1", f"{KEY} {KEY}", f"{KEY}\u2026", f"{KEY}\u00fc", ""]
)
def test_a_key_that_was_copied_badly_is_refused_unseen(key: str) -> None:
    with pytest.raises(Refused, match="castai_api_key") as caught:
        CastAi("https://api.cast.ai", key)
    assert "CANARY" not in str(caught.value)


ANSWERS = [
    reply(400, {"message": "Bad Request"}),
    reply(401),
    reply(403, b"<html>"),
    reply(200, b"<html>"),
    reply(302, None, ("Location", "https://elsewhere.example")),
    reply(500),
    reply(503),
    None,
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: str(answer.status) if answer else "closed")
def test_the_key_is_in_no_error(wire: Wire, patient: Patient, answer: Any) -> None:
    wire.script.play(answer)
    with pytest.raises(CallFailed) as caught:
        patient.castai.create_token(ID)
    error: BaseException | None = caught.value
    while error:
        assert KEY not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__
    assert KEY not in repr(vars(caught.value))


# Answers of any shape

CALLS: dict[str, Any] = {
    "list_clusters": lambda castai: castai.list_clusters(),
    "get_cluster": lambda castai: castai.get_cluster(ID),
    "register_cluster": lambda castai: castai.register_cluster("shop", BLOCK),
    "create_token": lambda castai: castai.create_token(ID),
    "accepts": lambda castai: castai.accepts("CANARY-other", ID),
    "get_principal": lambda castai: castai.get_principal(ID),
    "create_principal": lambda castai: castai.create_principal(ID),
    "delete_principal": lambda castai: castai.delete_principal(ID),
    "set_role": lambda castai: castai.set_role(ID, "eks", ARN),
    "set_key": lambda castai: castai.set_key(ID, "AKIA", "CANARY-secret"),
}
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(ID)
NAMES = st.sampled_from([*RECORD, "items", "arn", "token", "message", "fieldViolations", "field", "description"])
TREES = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6),
    max_leaves=20,
)
DEEP = b'{"items": ' + b"[" * 200_000
ESCAPING = json.dumps({"message": "\x1b]0;pwned\x07\x1b[31mno\u202e\r\n" + "x" * 3_000_000}).encode()
ODD = [DEEP, b"[" * 200_000, ESCAPING, b"\xff\xfe", b'{"id": 1' + b"0" * 5000 + b"}", b"NaN", b'{"items": ["x"]}']


class Answering:
    """Answers each request with the next of these, repeating the last one, without a network."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)

    def open(self, method: str, url: str, **_keywords: Any) -> io.BytesIO:
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 200:
            return io.BytesIO(body)
        raise HTTPError(url, status, "Reason", Message(), io.BytesIO(body))


def tried(call: str, *answers: tuple[int, bytes]) -> str:
    """The sentence with which the call fails, empty if it succeeds."""
    network = Answering(*answers)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gateway, "Request", lambda: network)
        try:
            CALLS[call](CastAi("https://api.cast.ai", KEY, sleep=lambda _seconds: None))
        except (CallFailed, Conflict) as failure:
            return str(failure)
    return ""


def check(sentence: str) -> None:
    assert len(sentence) < 2000
    assert sentence.isprintable()
    assert "CANARY" not in sentence


@pytest.mark.parametrize("call", CALLS)
@given(answer=TREES, status=st.sampled_from([200, 200, 200, 400, 404, 409, 500]))
@settings(max_examples=60, deadline=None)
def test_an_answer_of_any_shape_is_an_answer_or_one_sentence(call: str, answer: Any, status: int) -> None:
    check(tried(call, (status, json.dumps(answer).encode())))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_an_answer_that_is_too_much_is_one_sentence(call: str, status: int, body: bytes) -> None:
    check(tried(call, (status, body)))


@pytest.mark.parametrize(
    "answer",
    [
        {"items": ["x"]},
        {"items": [None]},
        {"items": {"id": ID}},
        {"items": 7},
        {"items": [{**RECORD, "eks": ["x"]}]},
        {"items": [{**RECORD, "id": 7}]},
        {"items": [{**RECORD, "status": {"a": "b"}}]},
    ],
)
def test_a_list_of_another_shape_is_no_empty_list(answer: Any) -> None:
    sentence = tried("list_clusters", (200, json.dumps(answer).encode()))
    assert "returned an answer that does not match the API: field" in sentence
    check(sentence)


def test_what_a_server_says_is_cut_and_obeyed_by_no_terminal() -> None:
    sentence = tried("list_clusters", (400, ESCAPING))
    assert "answered HTTP 400 no xxx" in sentence
    assert "x..." in sentence
    check(sentence)
