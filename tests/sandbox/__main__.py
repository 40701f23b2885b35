# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox`: the local world on the command line."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from .client import WORLD_VARIABLE, World, WorldError

_DEFAULT_CLUSTER = "prod:eks"


def main() -> int:
    arguments = _parser().parse_args()
    try:
        arguments.run(World(arguments.world), arguments)
    except (WorldError, ValueError, FileNotFoundError, RuntimeError) as error:
        print(f"tests.sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def _up(world: World, arguments: argparse.Namespace) -> None:
    world.up(*(arguments.cluster or [_DEFAULT_CLUSTER]), progress=_progress)
    _progress(f"up: {', '.join(world.clusters())}")


def _env(world: World, _arguments: argparse.Namespace) -> None:
    for name, value in sorted(world.env().items()):
        print(f"export {name}={shlex.quote(value)}")


def _journal(world: World, arguments: argparse.Namespace) -> None:
    for entry in world.journal(arguments.since, arguments.writes):
        print(json.dumps(dataclasses.asdict(entry)))


def _state(world: World, arguments: argparse.Namespace) -> None:
    print(json.dumps(world.state(arguments.normal), indent=2, sort_keys=True, ensure_ascii=False))


def _fault(world: World, arguments: argparse.Namespace) -> None:
    text = sys.stdin.read() if arguments.file == "-" else Path(arguments.file).read_text(encoding="utf-8")
    world.fault(*json.loads(text))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="The local world of the tests.")
    commands = parser.add_subparsers(required=True)

    def add(name: str, help_text: str, run: Callable[[World, argparse.Namespace], object]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--world", metavar="NAME", help=f"which world (default: ${WORLD_VARIABLE}, else default)")
        command.set_defaults(run=run)
        return command

    up = add("up", "start afresh; returns when everything answers", _up)
    up.add_argument(
        "--cluster",
        action="append",
        metavar="NAME:PROVIDER[:OPTION=VALUE...]",
        help=f"a cluster to start, any number of times (default: {_DEFAULT_CLUSTER})",
    )
    add("down", "end it, or whatever is left of it", lambda world, _: world.down())
    add("env", "print the exports of a client", _env)
    journal = add("journal", "print the calls received as JSON lines", _journal)
    journal.add_argument("--writes", action="store_true", help="only writes")
    journal.add_argument("--since", type=int, default=0, metavar="MARK", help="only calls after a mark")
    add("mark", "print a mark for journal --since", lambda world, _: print(world.mark()))
    state = add("state", "print the whole world as canonical JSON", _state)
    state.add_argument("--normal", action="store_true", help="normalized, to be compared with another run's")
    fault = add("fault", "load a schedule of faults in place of the one before", _fault)
    fault.add_argument("file", metavar="FILE|-")
    latency = add("latency", "delay every call", lambda world, given: world.latency(given.milliseconds))
    latency.add_argument("milliseconds", type=float)
    clock = add("clock", "advance the world's clock", lambda world, given: print(world.clock(given.seconds)))
    clock.add_argument("seconds", type=float)
    add("reset", "back to how it came up", lambda world, _: world.reset())
    return parser


def _progress(line: str) -> None:
    print(f"tests.sandbox: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
