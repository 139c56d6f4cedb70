"""What stands in a Postfix table, by postmap(1) and from text; and what Postfix knows of the site."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.builders.mainconf import MakePostfix
from tidegate.postfix import tables
from tidegate.postfix.instance import UnreadableError, read_instance
from tidegate.postfix.site import site_of
from tidegate.postfix.tables import pairs_in, pairs_of

TEXT = """# who may use what
sales@example.com   alice,
    bob

# a comment between
    carol
@example.org\tdave
"two words@example.com" erin
"""
PAIRS = [("sales@example.com", "alice, bob carol"), ("@example.org", "dave"), ("two words@example.com", "erin")]


def test_a_text_is_read_as_postfix_reads_it() -> None:
    """Comments, lines that go on after a comment, quoted keys (access(5))."""
    assert list(pairs_in(TEXT)) == PAIRS


def test_an_indexed_table_is_listed_by_postmap(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """What postmap made of the text, whatever the text is now."""
    folder = make_postfix()
    path = tmp_path / "logins"
    path.write_text("sales@example.com alice\n@example.org dave\n")
    subprocess.run(["/usr/sbin/postmap", "-c", folder, f"hash:{path}"], check=True)
    path.unlink()
    assert sorted(pairs_of(f"hash:{path}", folder)) == [("@example.org", "dave"), ("sales@example.com", "alice")]


UNLISTED = {
    "patterns": ("pcre:/etc/postfix/x", "made by hand"),
    "a-server": ("ldap:/etc/postfix/x", "tidegate list sync"),
    "no-table": ("whatever", "no table"),
    "a-type-unknown": ("environ:PATH", "type environ"),
    "gone": ("texthash:/nonexistent/x", "No such file"),
    "not-indexed": ("hash:/nonexistent/x", "/nonexistent/x"),
}


@pytest.mark.parametrize("name", UNLISTED)
def test_what_cannot_be_listed_is_told(name: str, make_postfix: MakePostfix) -> None:
    """With what helps instead."""
    table, text = UNLISTED[name]
    with pytest.raises(UnreadableError, match=text):
        pairs_of(table, make_postfix())


def test_a_site_is_what_its_postfix_says(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """Domains of all kinds, without this host's names; networks beyond this machine; who owns which sender."""
    owners = tmp_path / "owners"
    owners.write_text("sales@example.com alice\n")
    folder = make_postfix(
        "myhostname = mx.example.com\n"
        "mydestination = $myhostname, localhost, localhost.localdomain, example.com\n"
        "virtual_mailbox_domains = example.org pcre:/nonexistent/domains\n"
        "mynetworks = 127.0.0.0/8 [::1]/128 10.20.0.0/16 [2001:db8::]/32\n"
        f"smtpd_sender_login_maps = texthash:{owners}\n"
    )
    site = site_of(read_instance(folder))
    assert site.domains == ("example.com", "example.org")
    assert site.networks == ("10.20.0.0/16", "2001:db8::/32")
    assert site.owners == (("sales@example.com", "alice"),)
    assert len(site.unread) == 1
    assert "pcre:/nonexistent/domains" in site.unread[0]


def test_a_table_that_is_too_large_is_not_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing from it would look like what was deleted."""
    path = tmp_path / "table"
    path.write_text("a b\n" * 10)
    assert 10 == len(pairs_of(f"texthash:{path}"))
    monkeypatch.setattr(tables, "_LARGEST", 39)
    with pytest.raises(UnreadableError, match="larger than"):
        pairs_of(f"texthash:{path}")
