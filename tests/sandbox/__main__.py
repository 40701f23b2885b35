# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox`: the local world on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from .client import World, WorldError

_DEFAULT_CLUSTER = "prod:eks"


def main() -> int:
    arguments = _parser().parse_args()
    try:
        _run(World(arguments.world), arguments)
    except (WorldError, ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"tests.sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def _run(world: World, arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "up":
            world.up(*(arguments.cluster or [_DEFAULT_CLUSTER]), progress=_progress)
            _progress(f"up: {', '.join(world.clusters())}")
        case "down":
            world.down()
        case "env":
            for name, value in sorted(world.env().items()):
                print(f"export {name}={shlex.quote(value)}")
        case "journal":
            for entry in world.journal(arguments.since, arguments.writes):
                print(json.dumps(dataclasses.asdict(entry)))
        case "mark":
            print(world.mark())
        case "state":
            print(_canonical(world.state(arguments.normal)))
        case "fault":
            text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text(encoding="utf-8")
            world.fault(*json.loads(text))
        case "latency":
            world.latency(arguments.milliseconds)
        case "clock":
            print(world.clock(arguments.seconds))
        case "reset":
            world.reset()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="The local world of the tests.")
    parser.add_argument("--world", default=os.environ.get("CASTAI_SANDBOX_WORLD", "default"), help="name of the world")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start afresh; returns when everything answers")
    up.add_argument("--cluster", action="append", metavar="NAME:PROVIDER[:OPTION=VALUE...]", help=_DEFAULT_CLUSTER)
    commands.add_parser("down", help="end it, or whatever is left of it")
    commands.add_parser("env", help="print the exports of a client")
    journal = commands.add_parser("journal", help="print the calls received as JSON lines")
    journal.add_argument("--writes", action="store_true", help="only writes")
    journal.add_argument("--since", type=int, default=0, metavar="MARK", help="only calls after a mark")
    commands.add_parser("mark", help="print a mark for journal --since")
    state = commands.add_parser("state", help="print the whole world as canonical JSON")
    state.add_argument("--normal", action="store_true", help="normalised, to be compared with another run's")
    fault = commands.add_parser("fault", help="load a schedule of faults")
    fault.add_argument("file", metavar="FILE|-")
    latency = commands.add_parser("latency", help="delay every call")
    latency.add_argument("milliseconds", type=float)
    clock = commands.add_parser("clock", help="advance the world's clock")
    clock.add_argument("seconds", type=float)
    commands.add_parser("reset", help="back to how it came up")
    for command in commands.choices.values():
        command.add_argument("--world", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser


def _progress(line: str) -> None:
    print(f"tests.sandbox: {line}", file=sys.stderr, flush=True)


def _canonical(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
