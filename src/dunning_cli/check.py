"""The checks of a change, run one after the other; all are run, so that one pass shows all that is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def run_checks(*, fix: bool) -> int:
    """Run all checks and return 0 when each passed."""
    tool = Path(sys.executable).parent
    ruff = [str(tool / "ruff")]
    checks = [
        ("lint", [*ruff, "check", *(["--fix"] if fix else []), "src", "tests", "migrations", "benchmarks"]),
        ("format", [*ruff, "format", *([] if fix else ["--check"]), "src", "tests", "migrations", "benchmarks"]),
        ("types", [str(tool / "mypy")]),
        ("floors", [str(tool / "lint-imports"), "--no-cache"]),
        ("OpenAPI file", [sys.executable, "-m", "dunning_api.openapi_file", *([] if fix else ["--check"])]),
    ]
    failed = []
    for name, command in checks:
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=TOP, check=False).returncode != 0:
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "All checks passed.")
    return 1 if failed else 0
