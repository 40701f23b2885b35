# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's protocols: parse HTTP requests, write refusals in each service's form, and convert requests for moto."""

from __future__ import annotations

import io
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from moto.core.request import Request as MotoRequest
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from moto.utilities.utils import get_partition
from werkzeug.exceptions import NotFound

from ..wire import Request, Response
from .auth import read_signature

SERVICES = ("ec2", "eks", "iam", "sts")
# Where a partition's global services are; botocore's endpoints.json, credentialScope.
HOME_REGIONS = {"aws": "us-east-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}

# kind -> protocol -> (HTTP status, code): "Common Errors" of each service's API reference.
CODES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "unsigned": {
        "query": (403, "MissingAuthenticationToken"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "MissingAuthenticationTokenException"),
    },
    "unknown key": {
        "query": (403, "InvalidClientTokenId"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "UnrecognizedClientException"),
    },
    "wrong signature": {
        "query": (403, "SignatureDoesNotMatch"),
        "ec2": (401, "AuthFailure"),
        "rest-json": (403, "InvalidSignatureException"),
    },
    "expired": {
        "query": (403, "ExpiredToken"),
        "ec2": (400, "RequestExpired"),
        "rest-json": (403, "ExpiredTokenException"),
    },
    "denied": {
        "query": (403, "AccessDenied"),
        "ec2": (403, "UnauthorizedOperation"),
        "rest-json": (403, "AccessDeniedException"),
    },
    "invalid": {
        "query": (400, "ValidationError"),
        "ec2": (400, "InvalidParameterValue"),
        "rest-json": (400, "InvalidParameterException"),
    },
    "unknown operation": {
        "query": (400, "InvalidAction"),
        "ec2": (400, "InvalidAction"),
        "rest-json": (404, "UnknownOperationException"),
    },
    "internal": {
        "query": (500, "InternalFailure"),
        "ec2": (500, "InternalError"),
        "rest-json": (500, "ServerException"),
    },
}
# EC2's own texts for these codes ("Error codes for the Amazon EC2 API").
EC2_TEXTS = {
    "AuthFailure": "AWS was not able to validate the provided access credentials",
    "RequestExpired": "Request has expired.",
}
NOT_FOUND: Mapping[str, tuple[int, str]] = {
    "iam": (404, "NoSuchEntity"),
    "eks": (404, "ResourceNotFoundException"),
    "ec2": (400, "InvalidGroup.NotFound"),
    "sts": (404, "NoSuchEntity"),
}


@dataclass(frozen=True)
class Operation:
    """What a request asks for. Parameters are those of its query, form, path or JSON body; `name` may be unknown.

    Those of a query or form are flat: Tags.member.1.Key.
    """

    service: str
    name: str
    protocol: str
    region: str
    parameters: Mapping[str, Any]

    @property
    def action(self) -> str:
        return f"{self.service}:{self.name}"

    @property
    def partition(self) -> str:
        return get_partition(self.region)

    def text(self, name: str, default: str = "") -> str:
        """A parameter that is a string."""
        return str(self.parameters.get(name, default))

    def listed(self, name: str) -> list[str]:
        """A parameter that is a list of strings, in its order; only of the query protocols."""
        pattern = re.compile(rf"{name}\.(?:member\.)?(\d+)")
        found = {int(match[1]): value for key, value in self.parameters.items() if (match := pattern.fullmatch(key))}
        return [str(value) for _name, value in sorted(found.items())]

    @property
    def tags(self) -> dict[str, str]:
        """The tags that the request sets."""
        if isinstance(self.parameters.get("tags"), dict):
            return dict(self.parameters["tags"])
        keys = [name for name in self.parameters if re.search(r"Tags?\.(member\.)?\d+\.Key$", name)]
        return {self.parameters[key]: self.text(key.removesuffix("Key") + "Value") for key in keys}


class AwsError(Exception):
    """A refusal in AWS's words. `kind` selects the code in the service's protocol."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def code(self, operation: Operation) -> tuple[int, str]:
        """HTTP status and code."""
        return CODES[self.kind][operation.protocol]


class Refused(AwsError):
    """A refusal with its own code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__("", message)
        self._code = status, code

    def code(self, operation: Operation) -> tuple[int, str]:
        return self._code


def read_operation(request: Request) -> Operation:
    """The service and region from the host, and the operation from the place where the service's protocol has it."""
    labels = request.host.split(":")[0].lower().split(".")
    service, region = labels[0].removesuffix("-fips"), labels[1]
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
        region = HOME_REGIONS["aws-us-gov" if region == "us-gov" else "aws"]
    if service not in SERVICES:
        return Operation(service, request.method, "rest-json", region, {})
    protocol = get_service_model(service).metadata["protocol"]
    if protocol != "rest-json":
        parameters = dict(parse_qsl(request.query) + parse_qsl(request.body.decode("utf-8", "replace")))
        return Operation(service, parameters.get("Action", ""), protocol, region, parameters)
    url = f"https://{request.host}{request.path}?{request.query}"
    try:
        model, found = get_service_router(service).match(MotoRequest.from_primitives(request.method, url, {}))
    except NotFound:
        return Operation(service, f"{request.method} {request.path}", protocol, region, {})
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = {}
    return Operation(service, model.name, protocol, region, {**body, **found})


def refusal(operation: Operation, error: AwsError) -> Response:
    status, code = error.code(operation)
    return error_response(operation, status, code, EC2_TEXTS.get(code, str(error)))


def error_response(operation: Operation, status: int, code: str, message: str) -> Response:
    """An error in the form of the service's protocol."""
    identity = str(uuid.uuid4())
    if operation.protocol == "rest-json":
        headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", code), ("x-amzn-RequestId", identity))
        return Response(status, headers, json.dumps({"message": message}).encode())
    inner = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if operation.protocol == "ec2":
        body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{identity}</RequestID></Response>"
    else:
        inner = f"<Type>{'Sender' if status < 500 else 'Receiver'}</Type>{inner}"
        body = f"<ErrorResponse><Error>{inner}</Error><RequestId>{identity}</RequestId></ErrorResponse>"
    return Response(status, (("Content-Type", "text/xml"), ("x-amzn-RequestId", identity)), body.encode())


def moto_environ(request: Request, operation: Operation, account: str) -> dict[str, Any]:
    """The request as WSGI, told to moto as the caller's account. A presigned one gets the header that moto looks at.

    moto reads the partition from the host's region, which it does not know in iam.us-gov.amazonaws.com.
    """
    signature = read_signature(request)
    assert signature is not None
    headers = {
        **request.headers,
        "host": f"{operation.service}.{operation.region}.amazonaws.com",
        "x-moto-account-id": account,
        "authorization": f"AWS4-HMAC-SHA256 Credential={signature.access_key_id}/{signature.timestamp[:8]}"
        f"/{operation.region}/{operation.service}/aws4_request, SignedHeaders=host, Signature=checked",
    }
    target = request.path + (f"?{request.query}" if request.query else "")
    return {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": unquote(request.path, "latin-1"),
        "QUERY_STRING": request.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_NAME": headers["host"],
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
