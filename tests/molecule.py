# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One molecule scenario on a world of its own: `python -m tests.molecule SCENARIO [COMMAND [ARGUMENT...]]`.

The world comes up first and its environment is that of molecule's process: an environment of the tasks would force each
of them into a process of its own. COMMAND is molecule's, such as converge; without one the scenario's whole sequence is
run. The world has the clusters that the inventory names, and is gone afterwards.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import yaml

from tests import tree
from tests.sandbox.client import WORLD_VARIABLE
from tests.support.exported import export
from tests.support.worlds import own_world

EXTENSIONS = tree.ROOT / "extensions"


def scenarios() -> list[str]:
    return sorted(path.parent.name for path in (EXTENSIONS / "molecule").glob("*/molecule.yml"))


def clusters(scenario: str) -> Iterator[str]:
    """What the world is made of, host by host."""
    inventory = yaml.safe_load((EXTENSIONS / "molecule" / scenario / "inventory/clusters.yml").read_text())
    for host in inventory["castai_clusters"]["hosts"].values():
        yield host["sandbox_cluster"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.molecule", description="One scenario on its own world.")
    parser.add_argument("scenario", choices=scenarios())
    parser.add_argument("command", nargs=argparse.REMAINDER, help="molecule's command, with arguments (default: test)")
    arguments = parser.parse_args()
    export()
    command, *rest = arguments.command or ["test"]
    # Of a run that failed, molecule would still know that its cluster was prepared.
    with own_world(f"molecule-{arguments.scenario}") as world, tempfile.TemporaryDirectory() as own:
        world.up(*clusters(arguments.scenario), progress=print)
        return subprocess.run(
            [sys.executable, "-m", "molecule", command, "--scenario-name", arguments.scenario, *rest],
            cwd=EXTENSIONS,
            env={**os.environ, **world.env(), WORLD_VARIABLE: world.name, "MOLECULE_EPHEMERAL_DIRECTORY": own},
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
