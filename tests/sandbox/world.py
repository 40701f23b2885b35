# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor: one process that holds a world, its Python parts as threads, and its control API."""

from __future__ import annotations

import gc
import json
import os
import secrets
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from subprocess import Popen
from typing import Any, NoReturn

from . import processes
from .aws.server import Aws
from .azure.server import METADATA as AZURE_METADATA
from .azure.server import Azure
from .castai.server import CastAi
from .charts.server import Charts
from .gate import Address, Gate
from .google.endpoint import DnsEndpoint
from .google.server import METADATA, Google
from .kubernetes.cluster import ControlPlane, Store, operators_kubeconfig
from .kubernetes.webhook import Webhook
from .proxy import Proxy
from .rounds import Rounds
from .server import Server
from .spec import FAILURE, HOME_ACCOUNT, READY, ClusterSpec
from .wire import Backend, Request, Response

_LOOPBACK = "127.0.0.1,localhost"
_METADATA_VARIABLES = ("GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT")
_CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Supervisor:
    """Everything in one world. Once created, all of it runs and answers."""

    def __init__(self, folder: Path, binaries: Path, specs: Sequence[ClusterSpec]) -> None:
        self._folder = folder
        self._offset = 0.0
        self._gate = Gate(processes.end_caller)
        self._aws = Aws(HOME_ACCOUNT, self.now)
        self._google = Google(self.now)
        self._azure = Azure(self.now, self._google)
        self._castai = CastAi(self._aws, self.now, self._google, self._azure)
        charts = Charts()
        webhook = Webhook(self._aws, self._google, self._azure, self.now)
        store = Store(binaries, folder) if specs else None
        self._planes = {
            spec.name: ControlPlane(spec, binaries, folder, store, self._gate, webhook) for spec in specs if store
        }
        with ThreadPoolExecutor(max(1, len(specs))) as pool:
            list(pool.map(ControlPlane.complete, self._planes.values()))
        for plane in self._planes.values():
            clouds: dict[str, Aws | Google | Azure] = {"gke": self._google, "aks": self._azure}
            clouds.get(plane.cluster.provider, self._aws).add_cluster(plane.cluster)
            self._castai.add_cluster(plane.cluster)
        outside: tuple[Backend, ...] = (self._aws, self._google, self._azure, self._castai, charts)
        self._backends: dict[str, Backend] = {backend.system: backend for backend in outside}
        self._proxy = Proxy(self._gate, outside)
        for plane in self._planes.values():
            if plane.cluster.dns_endpoint:
                endpoint = DnsEndpoint(self._google, plane.cluster, plane.front)
                self._proxy.serve(plane.cluster.dns_endpoint, endpoint.answer)
            if plane.cluster.address:
                self._proxy.serve(plane.cluster.address, plane.front.answer, plane.front.tls)
        self._metadata = Server(self._ask_metadata)
        self._google_key = folder / "operator.json"
        self._google_key.touch(mode=0o600)
        self._google_key.write_text(self._google.operator_key(), encoding="utf-8")
        self._children = dict(_children(store, self._planes))
        self._token = secrets.token_hex(16)
        self._server = Server(self._answer)
        self._ca = folder / "ca.pem"
        self._ca.write_text(self._proxy.ca_pem, encoding="ascii")
        self._kubeconfig = folder / "kubeconfig"
        self._kubeconfig.write_text(json.dumps(operators_kubeconfig(self._planes.values())), encoding="utf-8")

    def now(self) -> float:
        """The virtual clock, seconds since the epoch."""
        return time.time() + self._offset

    def address(self) -> dict[str, Any]:
        """What a client needs to reach the control API."""
        return {"port": self._server.port, "token": self._token}

    def watch(self) -> NoReturn:
        """Wait until this process is killed. If a child ends by itself, the world ends, so nothing is left
        half-alive."""
        while True:
            for name, child in self._children.items():
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended with {child.returncode}, see its log in {self._folder}")
            time.sleep(0.5)

    def _ask_metadata(self, request: Request, client: Address, server: Address) -> Response | None:
        """Machines call their metadata server by its address and without TLS."""
        azures = request.path.startswith("/metadata/")
        cloud, host = (self._azure, AZURE_METADATA) if azures else (self._google, METADATA)
        return self._gate.answer(cloud, replace(request, host=host), client, server)

    # The control API: POST /VERB with a JSON object of arguments, answered by JSON.

    def _answer(self, request: Request, _client: Address, _server: Address) -> Response:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return _json(401, {"error": "wrong token"})
        verb, _slash, rest = request.path.strip("/").partition("/")
        arguments = json.loads(request.body or b"{}")
        try:
            if verb == "control":
                system, _slash, action = rest.partition("/")
                return _json(200, self._backends[system].control(action, **arguments))
            return _json(200, _VERBS[verb](self, **arguments))
        except (KeyError, TypeError, ValueError, RuntimeError, TimeoutError) as error:
            traceback.print_exc()
            return _json(400, {"error": f"{verb} {rest}: {error!r}"})

    def environment(self) -> dict[str, str]:
        """Variables for a client of the world, except the PATH."""
        proxy = f"http://127.0.0.1:{self._proxy.port}"
        # EKS clusters are reached without a kubeconfig; an exported one would hide this.
        needed = any(plane.cluster.provider == "kops" for plane in self._planes.values())
        return {
            **self._aws.env(),
            **self._azure.env(),
            **self._castai.env(),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._google_key),
            **dict.fromkeys(_METADATA_VARIABLES, f"127.0.0.1:{self._metadata.port}"),
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{self._metadata.port}",
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), _LOOPBACK),
            **dict.fromkeys(_CA_VARIABLES, str(self._ca)),
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"KUBECONFIG": str(self._kubeconfig)} if needed else {}),
        }

    def clusters(self) -> dict[str, dict[str, str]]:
        """What a client needs to reach each cluster: as the world's administrator (admin_kubeconfig) or as an
        operator."""
        return {
            name: {
                "endpoint": plane.cluster.endpoint,
                "ca_pem": plane.cluster.ca_pem,
                "provider": plane.cluster.provider,
                "admin_kubeconfig": str(plane.cluster.admin_kubeconfig),
                "operator_kubeconfig": str(self._kubeconfig),
                "operator_token": plane.operator_token,
                "account": plane.cluster.account,
                "region": plane.cluster.region,
                "resource_group": plane.cluster.resource_group,
            }
            for name, plane in self._planes.items()
        }

    def journal(self, since: int = 0, writes: bool = False) -> list[dict[str, Any]]:
        entries = self._gate.journal.since(since)
        told = [entry for entry in entries if not entry.cluster]
        for name, plane in self._planes.items():
            told += plane.front.audited([entry for entry in entries if entry.cluster == name])
        told.sort(key=attrgetter("mark"))
        return [entry.as_json() for entry in told if entry.call.write or not writes]

    def mark(self) -> int:
        return self._gate.journal.mark()

    def state(self) -> dict[str, Any]:
        systems = {system: backend.state() for system, backend in self._backends.items()}
        return {**systems, "kubernetes": {name: plane.front.state() for name, plane in self._planes.items()}}

    def fault(self, schedule: list[Any]) -> None:
        self._gate.faults.load(schedule)

    def fired(self) -> list[int]:
        return self._gate.faults.fired()

    def latency(self, milliseconds: float) -> None:
        self._gate.latency = milliseconds / 1000

    def rounds(self, on: bool) -> None:
        self._gate.hold = Rounds().hold if on else None

    def clock(self, seconds: float) -> float:
        self._offset += seconds
        return self.now()

    def reset(self) -> None:
        """Reset everything to the initial state, except the marks of the journal."""
        self._gate.reset()
        self._offset = 0.0
        for plane in self._planes.values():
            plane.front.reset()
        for backend in self._backends.values():
            backend.reset()


_VERBS: Mapping[str, Callable[..., Any]] = {
    name: getattr(Supervisor, name)
    for name in (
        *("environment", "clusters", "journal", "mark", "state"),
        *("fault", "fired", "latency", "rounds", "clock", "reset"),
    )
}


def _children(store: Store | None, planes: Mapping[str, ControlPlane]) -> Iterator[tuple[str, Popen[bytes]]]:
    if store:
        yield "etcd", store.process
    for name, plane in planes.items():
        for kind, process in plane.processes.items():
            yield f"{kind} of {name}", process


def _json(status: int, body: Any) -> Response:
    return Response(status, (("Content-Type", "application/json"),), json.dumps(body).encode())


def _write(path: Path, text: str) -> None:
    """Write the file as a whole or not at all, because others wait for it."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.rename(path)


def main() -> None:
    """`python -m tests.sandbox.world FOLDER BINARIES SPECS`: hold a world until killed; its children end with it.

    READY appears in the folder when everything answers, FAILURE with the reason when the world cannot go on.
    """
    folder, binaries, specs = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    processes.record(folder, os.getpid())
    gc.set_threshold(50_000, 20, 100)  # as in tests/conftest.py
    try:
        world = Supervisor(folder, binaries, [ClusterSpec(**spec) for spec in specs])
        _write(folder / READY, json.dumps(world.address()))
        world.watch()
    except Exception:
        _write(folder / FAILURE, traceback.format_exc())
        raise


if __name__ == "__main__":
    main()
