# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that libraries and Helm open themselves, checked before that. PRIVATE to the collection.

They would wait forever for a pipe, and what they say about other files does not name where the path was set.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from .._credentials import quoted
from .._engine import Refused
from .._given import as_path, is_file, is_pipe
from .._variables import named

TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment variables that name other certificates than the system's own to OpenSSL and Go."""


def check(paths: Mapping[str, str]) -> None:
    """Raise Refused for a pipe or device. paths: each by where it is set, in words; empty for none."""
    for origin, path in paths.items():
        if path and is_pipe(as_path(path)):
            raise Refused(f"{origin} is {quoted(path)}, which is a pipe or device. Set it to a file.")


def check_variables(*names: str) -> None:
    """The same for the paths in environment variables."""
    check({f"The environment variable {name}": os.environ.get(name, "").strip() for name in names})


def pem_text(content: bytes) -> str:
    """The text of PEM. What is around its blocks may have any encoding. Go, and so Helm, overlooks a block behind a
    byte order mark, which files that were joined have in the middle too. Raises ValueError if there is no block."""
    text = content.decode(errors="replace").replace("\ufeff", "")
    if "-----BEGIN " not in text:
        raise ValueError("it is not PEM")
    return text


def origin(path: str | None, option: str, *variables: str) -> str:
    """Where the value of an option was set, in words: by the option or by one of its variables."""
    variable = next((name for name in variables if path and os.environ.get(name) == path), "")
    return f"{variable}, which is used for {named(option)}," if variable else named(option)


def load_certificates(path: str, origin: str, service: str, context: ssl.SSLContext) -> None:
    """Trust the certificates of a PEM file. origin: where it is set, in words. Raises Refused."""
    right = f"Set it to a file with the CA certificates for {service}."
    if not is_file(path):
        raise Refused(f"{origin} is {quoted(path)}, which is not a file. {right}")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise Refused(f"{origin} is {quoted(path)}, which contains no valid PEM certificate. {right}") from None
    except OSError as error:
        raise Refused(f"{origin} is {quoted(path)}, which cannot be read ({error.strerror}). {right}") from None
