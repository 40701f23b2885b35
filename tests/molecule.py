# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One molecule scenario on its own world: `python -m tests.molecule SCENARIO [COMMAND [ARGUMENT...]]`.

The world starts first, and its variables are set for molecule's process: `environment` of the tasks would force each of
them into its own process. COMMAND is molecule's, such as converge; by default the scenario's whole sequence runs. The
world has the clusters of the inventory and is removed afterwards.
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
    """The world's clusters, host by host."""
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
    # After a failed run, molecule would still assume that its cluster is prepared.
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
