"""The benchmarks of a source checkout, in a process of their own: they are not part of the installed package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dunning_cli.installation import NotConfigured

TOP = Path(__file__).resolve().parents[2]


def run_benchmarks(words: list[str]) -> int:
    """Run `benchmarks/` with the given options and return its exit code: 0 when all ran and no floor is broken."""
    if not (TOP / "benchmarks" / "__main__.py").exists():
        msg = "The benchmarks come with the source, not with the installed package: run `./run bench` in a checkout."
        raise NotConfigured(msg)
    return subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=TOP, check=False).returncode
