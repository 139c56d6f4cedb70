"""Cutting a policy file into documents, over files that somebody rearranged: the same entries, and nothing raises."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model import Severity, Source
from tidegate.policy.documents import Document, documents
from tidegate.policy.read import EntryText, read_file

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.read_text("utf-8").split("\n") for path in sorted((ROOT / "policies").rglob("*.yaml"))]
ODD = [
    "",
    "# a comment",
    "    # deeper",
    "  - ",
    "  -",
    "rules:",
    "lists: {}",
    "...",
    "  x: |",
    "      # in a text",
    "\t",
]
STEP = st.tuples(
    st.sampled_from(["drop", "twice", "insert", "deeper", "swap"]), st.integers(0, 500), st.sampled_from(ODD)
)


def rearranged(lines: list[str], steps: list[tuple[str, int, str]]) -> str:
    """The page after some accidents."""
    lines = list(lines)
    for what, place, odd in steps:
        at = place % len(lines)
        if what == "drop" and len(lines) > 1:
            del lines[at]
        elif what == "twice":
            lines.insert(at, lines[at])
        elif what == "insert":
            lines.insert(at, odd)
        elif what == "deeper":
            lines[at] = f"  {lines[at]}"
        elif what == "swap":
            lines[at], lines[at - 1] = lines[at - 1], lines[at]
    return "\n".join(lines)


@settings(max_examples=300, deadline=None)
@given(page=st.sampled_from(PAGES), steps=st.lists(STEP, max_size=4))
def test_the_same_entries_come_out(page: list[str], steps: list[tuple[str, int, str]]) -> None:
    """Each document holds its entry, as the reader reads it, and is cut to itself; and no text raises."""
    source = Source("a.yaml", rearranged(page, steps).encode())
    found = list(documents(source))
    file = read_file(source)
    broken = any(
        one.severity is Severity.ERROR
        for one in (*file.problems, *(p for entry in file.entries for p in entry.problems))
    )
    if broken:
        return
    assert sorted(str(one.key) for one in file.entries) == sorted(str(one.key) for one in found)
    for one in found:
        if isinstance(one, EntryText):
            continue  # told to its author, and not stored
        (entry,) = read_file(Source("", one.text.encode())).entries
        assert one.key == entry.key
        assert [one.text] == [again.text for again in documents(Source("", one.text.encode()))]


def test_what_we_ship_is_cut_whole() -> None:
    """Without accidents every entry is a document."""
    for page in PAGES:
        assert all(isinstance(one, Document) for one in documents(Source("a.yaml", "\n".join(page).encode())))
