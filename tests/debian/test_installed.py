"""The package as it is installed: built in a throw-away root of this machine's release, and debian/tests run on it.

It takes some minutes, and a mirror: `.ci/run` and `make deb-test` do it, for both releases `make deb-matrix`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.debian.confinement import findings
from tests.debian.dep8 import Dep8, dep8s, run
from tests.debian.package import build, lintian
from tests.debian.roots import UnavailableError, own_release

pytestmark = pytest.mark.skipif(
    "TIDEGATE_PACKAGE" not in os.environ, reason="builds and installs the package: .ci/run or make deb-test"
)


@pytest.fixture(scope="module")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from the last commit."""
    try:
        return build(own_release(), tmp_path_factory.mktemp("built"))
    except UnavailableError as error:
        pytest.skip(f"no root can be made here: {error}")


@pytest.mark.parametrize("test", [pytest.param(one, id=one.name) for one in dep8s()])
def test_dep8(deb: Path, test: Dep8) -> None:
    """debian/tests, one by one, each in a system of its own."""
    print(run(own_release(), deb, test))


def test_the_units_are_confined(deb: Path) -> None:
    """As systemd itself sees them: `verify` is silent, the exposure is what README.Debian says."""
    assert [] == findings(own_release(), deb)


def test_lintian_is_content(deb: Path) -> None:
    """Down to what is pedantic; what an override explains is left out."""
    assert [] == lintian(own_release(), deb.parent)
