"""Memory for what a confined child gets from the supervisor comes on top of its limit."""

from __future__ import annotations

import os
import resource

from tidegate.loader.confine import Confined


def limit_with(spare: int) -> int:
    """The address space that a child may use."""
    child = Confined("test")

    def tell(own: Confined) -> None:
        os.pwrite(own.result, str(resource.getrlimit(resource.RLIMIT_AS)[0]).encode(), 0)

    child.start(tell, lambda: None, 60.0, spare)
    _, status = os.waitpid(child.pid, 0)
    assert child.ended(status) is None
    said = int(os.pread(child.result, 40, 0))
    child.close()
    return said


def test_what_is_mapped_beside_a_load_is_not_taken_from_it() -> None:
    """A policy that fits without an image in force fits beside one."""
    spare = 1 << 30
    assert limit_with(spare) - limit_with(0) > spare // 2  # other memory of this process may come and go
