"""postfix/change.py: in, shown before; and out again, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders.mainconf import MakePostfix
from tidegate.postfix import Instance, Ourselves, findings, kept, read_instance
from tidegate.postfix.change import Change, RefusedError, current, disabled, enabled, put
from tidegate.postfix.relays import relays
from tidegate.settings import Listen, ListenKind

US_HERE = Ourselves(Listen(ListenKind.UNIX, "/var/spool/postfix/tidegate/tidegate.sock"), 8.0)
GLOBAL = "smtpd_milters = inet:127.0.0.1:8891\nnon_smtpd_milters = $smtpd_milters\n"
MUA = "mua_milters = inet:localhost:11332\n"


def put_aged(folder: str, change: Change) -> None:
    """Into place; postconf would wait until the files are a second old."""
    put(folder, change.after)
    for name in change.after:
        os.utime(os.path.join(folder, name), (1, 1))


def enable(folder: str, state: Path, *names: str, local: bool = False) -> Change:
    """As `tidegate postfix enable` does it."""
    instance = read_instance(folder)
    services = tuple(one for one in instance.services if (one.key in names if names else relays(instance, one)))
    change = enabled(instance, US_HERE, services, local=local)
    if not change.empty:
        kept.keep(str(state), change, kept.recall(str(state), folder))
        put_aged(folder, change)
    return change


def disable(folder: str, state: Path) -> Change:
    """As `tidegate postfix disable` does it."""
    change = disabled(read_instance(folder), kept.recall(str(state), folder))
    put_aged(folder, change)
    kept.forget(str(state), folder)
    return change


def unjudged(folder: str) -> set[str]:
    """The services that relay without us."""
    return {one.place.source for one in findings(read_instance(folder), US_HERE) if one.code == "service-unjudged"}


@pytest.mark.parametrize("local", [False, True], ids=["smtp", "local too"])
@pytest.mark.parametrize(
    "main", [MUA, MUA + "smtpd_milters = inet:127.0.0.1:8891\nnon_smtpd_milters = $smtpd_milters\n"]
)
def test_in_and_out(make_postfix: MakePostfix, tmp_path: Path, main: str, local: bool) -> None:
    """Every service that relays asks us first, those that were there still come behind, and all of it comes back."""
    folder = make_postfix(main)
    before = current(folder)
    assert unjudged(folder) == {"submission/inet", "submissions/inet"}
    change = enable(folder, tmp_path, local=local)
    assert "+tidegate = { unix:tidegate/tidegate.sock, default_action=tempfail" in change.diff()
    assert unjudged(folder) == set()
    behind = read_instance(folder).find("submissions/inet")
    assert behind is not None
    assert behind.overrides["smtpd_milters"].endswith("}, inet:localhost:11332, inet:127.0.0.1:8891")
    assert not ({one.code for one in findings(read_instance(folder), US_HERE)} & {"not-first", "postfix-complains"})
    disable(folder, tmp_path)
    assert current(folder) == before


def test_a_second_time_changes_nothing(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """`enable` twice, `disable` twice."""
    folder = make_postfix(MUA)
    before = current(folder)
    enable(folder, tmp_path)
    assert enable(folder, tmp_path).empty
    disable(folder, tmp_path)
    assert disable(folder, tmp_path).empty
    assert current(folder) == before


def test_one_service_after_the_other(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """Two changes are undone by one `disable`."""
    folder = make_postfix(MUA)
    before = current(folder)
    enable(folder, tmp_path, "submission/inet")
    assert unjudged(folder) == {"submissions/inet"}
    enable(folder, tmp_path, "submissions/inet", "smtp/inet", local=True)
    disable(folder, tmp_path)
    assert current(folder) == before


def _edited(folder: str) -> None:
    with open(os.path.join(folder, "main.cf"), "a") as file:
        file.write("message_size_limit = 1000000\n")


def _forgotten(folder: str) -> None:
    """The state directory is gone."""
    for place in Path(folder).parent.glob(f"{kept.PREFIX}*"):
        place.unlink()


@pytest.mark.parametrize("between", [_edited, _forgotten], ids=["edited since", "the record is gone"])
def test_only_what_is_ours_is_taken_out(
    make_postfix: MakePostfix, tmp_path: Path, between: Callable[[str], None]
) -> None:
    """Where the old bytes can't come back, the lists do: with the milters that each service had."""
    folder = make_postfix(MUA)
    was = read_instance(folder)
    enable(folder, tmp_path, local=True)
    between(folder)
    disable(folder, tmp_path)
    now = read_instance(folder)

    def lists(instance: Instance) -> dict[str, str]:
        return {one.key: instance.value(one, "smtpd_milters") for one in instance.services}

    assert lists(now) == lists(was)
    assert not any(name.startswith("tidegate") for name in now.written)
    assert now.value(None, "non_smtpd_milters") == ""


@pytest.mark.parametrize(
    ("main", "text"),
    [
        ("tidegate = inet:127.0.0.1:1\n", "`tidegate` of its own"),
        (MUA + "tidegate_submissions_inet = inet:127.0.0.1:1\n", "`tidegate_submissions_inet` already"),
    ],
)
def test_our_names_are_taken(make_postfix: MakePostfix, tmp_path: Path, main: str, text: str) -> None:
    """Somebody's own parameter is never written over."""
    folder = make_postfix(main)
    before = current(folder)
    with pytest.raises(RefusedError, match=text):
        enable(folder, tmp_path)
    assert current(folder) == before


def test_a_list_made_by_hand_is_left_alone(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """A hand-made list that has us is not touched, neither going in nor coming out."""
    folder = make_postfix(
        MUA + "tidegate = { unix:tidegate/tidegate.sock }\nhand = $tidegate, inet:127.0.0.1:1\n",
        (("  # a comment in between\n", "  -o smtpd_milters=$hand\n"), ("$mua_milters, ", "$tidegate, ")),
    )
    before = current(folder)
    assert enable(folder, tmp_path).empty
    with pytest.raises(RefusedError, match="hand names"):
        disable(folder, tmp_path)
    assert current(folder) == before


def test_both_files_or_none(make_postfix: MakePostfix, tmp_path: Path) -> None:
    """Where the second file can't be put into place the first one comes back; owner, mode and links stay."""
    folder = make_postfix(MUA)
    real = tmp_path / "elsewhere.cf"
    os.rename(os.path.join(folder, "main.cf"), real)
    os.symlink(real, os.path.join(folder, "main.cf"))
    os.chmod(real, 0o640)
    before = current(folder)
    enable(folder, tmp_path)
    assert os.path.islink(os.path.join(folder, "main.cf"))
    assert real.stat().st_mode & 0o777 == 0o640
    with pytest.raises(KeyError):
        put(folder, {"main.cf": b"x"})
    assert os.path.islink(os.path.join(folder, "main.cf"))
    disable(folder, tmp_path)
    assert current(folder) == before
    assert sorted(os.listdir(folder)) == ["main.cf", "master.cf"]
