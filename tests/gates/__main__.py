# Copyright (c) 2026, the castai.onboarding authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the gates two at a time: `python -m tests.gates [--list] [--fresh] [--report FILE] [NAME...]`.

A gate that passed is not run again as long as the files that it reads and its tools are the same, unless --fresh is
given.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests import report, tree
from tests.gates.checks import GATES, Failed, Gate
from tests.gates.environments import CACHE, NotInstallable, installed, pythons
from tests.report import Result

_GATES_THEMSELVES = ("tests/gates/*", "tests/tree.py", "tests/requirements.txt")
_WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "not installable here"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gates", description="The gates of a publishable collection.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(gate.name for gate in GATES)])
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--fresh", action="store_true", help="run also what was green on the same files")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the results to FILE as JUnit XML")
    options = parser.parse_args(arguments)
    gates = [gate for gate in GATES if gate.name in options.names or not options.names]
    if options.list:
        print(*(gate.name for gate in gates), sep="\n")
        return 0
    started = time.monotonic()
    results = _run_all(gates, options.fresh)
    if options.report:
        report.write(options.report, "gates", results)
    print(report.closing_line(results, time.monotonic() - started))
    return any(result.verdict == "failed" for result in results)


def _run_all(gates: Sequence[Gate], fresh: bool) -> list[Result]:
    tools = (installed().identity, tree.digest(*_GATES_THEMSELVES), *map(str, pythons().values()))
    results = []
    with ThreadPoolExecutor(2) as pool:
        for ended in as_completed(pool.submit(_run, gate, tools, fresh) for gate in gates):
            result = ended.result()
            results.append(result)
            remark = f" ({result.text})" if result.text and result.verdict != "failed" else ""
            print(f"{result.name:18}{result.seconds:7.1f} s  {_WORDS[result.verdict]}{remark}", flush=True)
            if result.verdict == "failed":
                print(result.text.rstrip(), flush=True)
    return results


def _run(gate: Gate, tools: Sequence[str], fresh: bool) -> Result:
    conditions = "\0".join((gate.name, tree.digest(*gate.reads), *tools))
    green = CACHE / "green" / hashlib.sha256(conditions.encode()).hexdigest()
    if green.exists() and not fresh:
        return Result(gate.name, 0.0, "passed", green.read_text())
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="gate-") as folder:
            remark = gate.check(Path(folder))
    except NotInstallable as missing:
        return Result(gate.name, 0.0, "skipped", str(missing))
    except Failed as failed:
        return Result(gate.name, time.monotonic() - started, "failed", str(failed))
    except Exception:  # a gate that raises an error has failed; the others continue
        return Result(gate.name, time.monotonic() - started, "failed", traceback.format_exc())
    seconds = time.monotonic() - started
    green.parent.mkdir(parents=True, exist_ok=True)
    green.write_text("; ".join(filter(None, (remark, f"the same files passed in {seconds:.0f} s"))))
    return Result(gate.name, seconds, "passed", remark or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
