"""The shipped Prometheus rules: promtool takes them, they fire when they should, and they name what we export."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tidegate.observe.counters import Counters
from tidegate.observe.metrics import Gauges, render

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs" / "prometheus" / "tidegate.rules.yml"
CASES = Path(__file__).parent / "prometheus" / "cases.yml"

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus; make test installs it)"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_promtool_takes_them() -> None:
    """Without a word of warning."""
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


@needs_promtool
def test_they_fire_when_they_should(tmp_path: Path) -> None:
    """Not before, and with their texts."""
    shutil.copy(RULES, tmp_path)
    shutil.copy(CASES, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / CASES.name))


@needs_promtool
def test_promtool_takes_our_page() -> None:
    """Names, units and help texts as Prometheus wants them."""
    page = render(Counters(1), Gauges(version="1", alerts={"unknown-key": 1}, severities={"error": 1}))
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60, check=False
    )
    assert ("", "") == (done.stdout.strip(), done.stderr.strip())


def test_they_name_what_we_export() -> None:
    """A metric that is renamed would silently never fire."""
    exported = set(re.findall(r"^# TYPE (\w+)", render(Counters(1), Gauges()), re.MULTILINE))
    named = set(re.findall(r"\btidegate_\w+", RULES.read_text(encoding="utf-8")))
    assert set() == named - exported
    assert len(named) > 10
