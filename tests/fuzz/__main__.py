"""`make fuzz`: reader, milter callbacks, reply sanitiser and header decoding under a coverage-guided fuzzer.

    make fuzz FUZZ=200000    inputs for each of the four (100,000); then the properties of tests/property with a tenth
                             as many examples

Where atheris is installed (`pip install atheris`) it does the work; without it a small fuzzer of our own does, which is
some hundred times slower and sees no C code. What was interesting is kept in build/fuzz, and is where the next run
begins; an input that failed is kept in build/fuzz/failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import settings

from tests.fuzz.guided import fuzz
from tests.fuzz.targets import SEEDS, TARGETS

OUT = Path("build/fuzz")
SEED = 20211210


def main() -> int:
    """All four, and the properties; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="FUZZ=RUNS: so many inputs for each target.")
    parser.add_argument("runs", nargs="?", type=int, default=100_000, help="inputs for each target")
    runs: int = parser.parse_args().runs
    engine = _with_atheris if importlib.util.find_spec("atheris") else _on_our_own
    print(f"fuzz: {engine.__name__.strip('_').replace('_', ' ')}, {runs} inputs each", flush=True)
    failed = [name for name in TARGETS if engine(name, runs)]
    settings.register_profile("fuzz", max_examples=max(100, runs // 10), deadline=None)
    settings.load_profile("fuzz")
    status = int(pytest.main(["-q", "tests/property", "-p", "no:cacheprovider"]))
    print(f"fuzz: {', '.join(failed) or 'nothing'} failed")
    return 1 if failed else status


def _corpus(name: str) -> Path:
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for data in SEEDS[name]:
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
    return folder


def _with_atheris(name: str, runs: int) -> bool:
    folder, failed = _corpus(name), OUT / "failed"
    failed.mkdir(exist_ok=True)
    options = [f"-runs={runs}", f"-seed={SEED}", "-max_len=4096", f"-artifact_prefix={failed}/{name}-", "-verbosity=0"]
    command = [sys.executable, "-m", "tests.fuzz.with_atheris", name, *options, str(folder)]
    return subprocess.run(command, check=False).returncode != 0


def _on_our_own(name: str, runs: int) -> bool:
    folder = _corpus(name)
    found = fuzz(TARGETS[name], [path.read_bytes() for path in sorted(folder.iterdir())], runs=runs, seed=SEED)
    for data in found.corpus:
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{name}: {found.runs} inputs, {len(found.edges)} edges, {len(found.corpus)} kept", flush=True)
    for data, error in found.failures:
        path = OUT / "failed" / f"{name}-{sha256(data).hexdigest()[:16]}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        print(f"{path}: {error!r}")
    return bool(found.failures)


if __name__ == "__main__":
    sys.exit(main())
