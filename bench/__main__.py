"""`python -m bench [--json] [--quick] [ROW ...]`."""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench import approvals, ceremony, execution, version
from bench.rows import Row

Measure = Callable[[Path, bool], Coroutine[Any, Any, Row]]

ROWS: dict[str, Measure] = {
    "approvals": approvals.measure,
    "execution": execution.measure,
    "ceremony": ceremony.measure,
    "version": version.measure,
}


def main() -> None:
    """Measures, row after row, and prints each."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; else all")
    parser.add_argument("--json", action="store_true", help="one JSON list on stdout")
    parser.add_argument("--quick", action="store_true", help="small and less exact")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rows) - set(ROWS))
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    measured: list[Row] = []
    for name in arguments.rows or ROWS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="quorate-bench-") as directory:
            row = asyncio.run(ROWS[name](Path(directory), arguments.quick))
        measured.append(row)
        if not arguments.json:
            print(row.in_words(), flush=True)
    if arguments.json:
        print(json.dumps([row.as_json() for row in measured], indent=2))


if __name__ == "__main__":
    main()
