"""A load beside an image in force: what it lends changes nothing, and a damaged one lends nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import pytest

from tests.loader.test_gate import Unconfined
from tidegate import image
from tidegate.loader.child import Request, work
from tidegate.loader.confine import Confined
from tidegate.model import Conventions, Loaded

POLICY = """version: 1
lists: {l: {type: address, items: [a@example.com, b@example.com]}}
rules:
  - {id: a, when: {subject: {matches: "x[0-9]+"}}, do: {hold: {reason: look}}}
  - {id: b, when: {sender.address: {in: l}}, do: {hold: {reason: look}}}
...
"""


def loaded(folder: Path, before: int) -> bytes:
    """The image that a load in `folder` leaves, with the image of this descriptor in force."""
    child = Unconfined()
    work(cast(Confined, child), Request(str(folder / "p"), str(folder / "s"), Conventions(), 2, before=before))
    return os.pread(child.extra, 1 << 20, 0)


@pytest.mark.parametrize("kind", ["the same", "another", "not one", "empty", "closed"])
def test_the_image_in_force_changes_nothing(tmp_path: Path, kind: str) -> None:
    """The load comes to the same image with it and without."""
    (tmp_path / "p").mkdir()
    (tmp_path / "s").mkdir()
    (tmp_path / "p" / "a.yaml").write_text(POLICY)
    alone = loaded(tmp_path, -1)
    before = os.memfd_create("before")
    content = {"the same": alone, "another": image.build(Loaded(), 1), "not one": b"TIDEGATE" + bytes(500)}
    os.write(before, content.get(kind, b""))
    if kind == "closed":
        os.close(before)
    assert alone == loaded(tmp_path, before)
