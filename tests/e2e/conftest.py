"""End-to-end tests need a real Postfix, and so root; `make test` sees to both. Without them they are skipped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.harness.postfix import unavailable
from tests.e2e.harness.site import OpenSite, Site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here `e2e`; skip it where a private Postfix can't run."""
    reason = unavailable()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if reason and item.path.name not in ("test_daemon.py", "test_poison.py"):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="module")
def open_site() -> Iterator[OpenSite]:
    """Starts sites that live until the module's end: `open_site({"10.yaml": TEXT}, local=True)`."""
    with ExitStack() as stack:

        def start(policies: Mapping[str, str | bytes] | None = None, **options: object) -> Site:
            return stack.enter_context(Site(policies, **options))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's name has 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="tg-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)
