"""postfix/checks.py: each way past us is named, at its service; a sound configuration has no finding."""

from __future__ import annotations

import pytest

from tests.builders.mainconf import MakePostfix
from tidegate.model import Severity
from tidegate.postfix import CODES, Ourselves, findings, read_instance
from tidegate.postfix.endpoint import is_ours
from tidegate.settings import Listen, ListenKind

US_HERE = Ourselves(Listen(ListenKind.UNIX, "/var/spool/postfix/tidegate/tidegate.sock"), 8.0)
US = "{ unix:tidegate/tidegate.sock, default_action=tempfail, command_timeout=20s, content_timeout=60s }"
SOUND = f"tidegate = {US}\nnon_smtpd_milters = $tidegate\nmua_milters = $tidegate\n"
ACCEPTING = f"tidegate = {US.replace('tempfail', 'accept')}\n"
BLANK = (("  -o smtpd_milters=$tidegate\n", "  -o smtpd_milters=\n"),)
ASKING = (("  # a comment in between\n", "  -o smtpd_milters=$tidegate\n"),)


def named(folder: str, us: Ourselves = US_HERE) -> set[tuple[str, str]]:
    """(code, place) of every finding above a notice, and the notices that a test is about."""
    return {(one.code, one.place.source) for one in findings(read_instance(folder), us)}


def test_a_sound_configuration(make_postfix: MakePostfix) -> None:
    """Submission and submissions ask us first: nothing but notices."""
    found = findings(read_instance(make_postfix(SOUND, ASKING)), US_HERE)
    assert [] == [one for one in found if one.severity > Severity.NOTICE]


TABLE = [
    pytest.param("", (("  -o smtpd_milters=$tidegate\n", ""),), "service-unjudged", "submission/inet", id="no milter"),
    pytest.param(
        "",
        (("  -o smtpd_milters=$tidegate\n", "  -o smtpd_milters=\n"),),
        "service-unjudged",
        "submission/inet",
        id="blank",
    ),
    pytest.param("mynetworks = 10.0.0.0/8\n", (), "service-unjudged", "smtp/inet", id="port 25 relays for networks"),
    pytest.param("smtpd_sasl_auth_enable = yes\n", (), "service-unjudged", "smtp/inet", id="port 25 has logins"),
    pytest.param("mua_milters = { $tidegate\n", (), "milter-list-malformed", "submissions/inet", id="brace"),
    pytest.param(
        f"tidegate = {US.replace('tempfail', 'accept')}\n", (), "default-action", "submission/inet", id="accept"
    ),
    pytest.param(
        f"tidegate = {US.replace('tempfail', 'reject')}\n", (), "default-action", "submission/inet", id="reject"
    ),
    pytest.param(
        f"milter_default_action = accept\ntidegate = {US.replace('default_action=tempfail, ', '')}\n",
        (),
        "default-action",
        "submission/inet",
        id="global accept",
    ),
    pytest.param(f"tidegate = {US.replace('20s', '8s')}\n", (), "timeout-short", "submission/inet", id="short"),
    pytest.param(f"tidegate = {US.replace('60s', '300s')}\n", (), "timeout-long", "submission/inet", id="long"),
    pytest.param("mua_milters = inet:127.0.0.1:11332, $tidegate\n", (), "not-first", "submissions/inet", id="second"),
    pytest.param(
        "mua_milters = $tidegate, { inet:127.0.0.1:11332, default_action=accept }\n",
        (),
        "milter-accepts",
        "submissions/inet",
        id="another accepts",
    ),
    pytest.param(
        "",
        (("-o syslog_name=", "-o smtpd_proxy_filter=127.0.0.1:10024\n  -o syslog_name="),),
        "proxy-filter",
        "submission/inet",
        id="proxy filter",
    ),
    pytest.param("receive_override_options = no_milters\n", (), "no-milters", "submission/inet", id="no_milters"),
    pytest.param("smtpd_milter_maps = cidr:/etc/postfix/m\n", (), "milter-maps", "submission/inet", id="milter maps"),
    pytest.param("milter_protocol = 2\n", (), "protocol", "submission/inet", id="protocol"),
    pytest.param("milter_header_checks = regexp:/etc/postfix/h\n", (), "header-checks", "main.cf", id="header checks"),
    pytest.param("milter_mail_macros = i\n", (), "macro-missing", "submission/inet", id="macros of MAIL"),
    pytest.param("milter_rcpt_macros = i\n", (), "macro-missing", "submission/inet", id="macros of RCPT"),
    pytest.param("smtpd_authorized_xclient_hosts = 10.0.0.0/8\n", (), "xclient", "submission/inet", id="xclient"),
    pytest.param("message_strip_characters =\n", (), "nul-hides", "main.cf", id="nul"),
    pytest.param("non_smtpd_milters =\n", (), "local-unjudged", "main.cf", id="local"),
    pytest.param("non_smtpd_milters = { $tidegate\n", (), "milter-list-malformed", "main.cf", id="local brace"),
    pytest.param(
        f"non_smtpd_milters = {US.replace('tempfail', 'reject')}\n", (), "local-fault", "main.cf", id="local reject"
    ),
    pytest.param("internal_mail_filter_classes = bounce\n", (), "bounces-asked", "main.cf", id="bounces"),
    pytest.param("virtual_alias_maps = hash:/etc/postfix/v\n", (), "expands-behind", "main.cf", id="aliases"),
    pytest.param("always_bcc = a@example.com\n", (), "expands-behind", "main.cf", id="bcc"),
    pytest.param("", (), "comes-back", "127.0.0.1:10025/inet", id="re-injection"),
    pytest.param("thisparameter = unused\n", (), "postfix-complains", "main.cf", id="postconf warns"),
]


@pytest.mark.parametrize(("main", "replace", "code", "place"), TABLE)
def test_what_is_named(
    make_postfix: MakePostfix, main: str, replace: tuple[tuple[str, str], ...], code: str, place: str
) -> None:
    """Each misconfiguration has its code, at its service."""
    folder = make_postfix(SOUND + main, (*ASKING, *replace))
    assert (code, place) in named(folder)


def test_a_socket_that_postfix_can_not_reach(make_postfix: MakePostfix) -> None:
    """Why it can't is the site's to say; it is told at each service that asks us."""
    us = Ourselves(US_HERE.listen, 8.0, "postfix may not connect to it")
    assert ("socket-unreachable", "submission/inet") in named(make_postfix(SOUND, ASKING), us)


def test_a_name_in_a_chroot(make_postfix: MakePostfix) -> None:
    """There is no hosts file in the chroot."""
    us = Ourselves(Listen(ListenKind.INET, host="127.0.0.1", port=3540), 8.0)
    main = SOUND + "tidegate = inet:localhost:3540\n"
    assert ("chroot-address", "submission/inet") in named(make_postfix(main, ASKING), us)


def test_every_code_is_provoked() -> None:
    """No finding that no test has seen."""
    told = {str(row.values[2]) for row in TABLE} | {"socket-unreachable", "chroot-address"}
    assert set(CODES) == told


QUEUE = "/var/spool/postfix"


@pytest.mark.parametrize(
    ("endpoint", "chroot", "expected"),
    [
        ("unix:tidegate/tidegate.sock", True, True),
        ("unix:tidegate/tidegate.sock", False, True),
        ("unix:/tidegate/tidegate.sock", True, True),
        ("unix:/tidegate/tidegate.sock", False, False),
        ("unix:/var/spool/postfix/tidegate/tidegate.sock", False, True),
        ("unix:other.sock", True, False),
        ("inet:127.0.0.1:3540", True, False),
    ],
)
def test_our_socket(endpoint: str, chroot: bool, expected: bool) -> None:
    """The same socket, as it is written with a chroot and without."""
    assert expected is is_ours(endpoint, US_HERE.listen, QUEUE, chroot)


@pytest.mark.parametrize(
    ("endpoint", "host", "expected"),
    [
        ("inet:127.0.0.1:3540", "127.0.0.1", True),
        ("inet:localhost:3540", "0.0.0.0", True),
        ("inet:[::1]:3540", "::1", True),
        ("inet:[2001:db8::1]:3540", "2001:db8::1", True),
        ("inet:[2001:db8::2]:3540", "2001:db8::1", False),
        ("inet:filter.example.com:3540", "0.0.0.0", False),
        ("inet:127.0.0.1:3541", "127.0.0.1", False),
        ("unix:3540", "127.0.0.1", False),
    ],
)
def test_our_port(endpoint: str, host: str, expected: bool) -> None:
    """The same port, whatever name of this machine is written."""
    assert expected is is_ours(endpoint, Listen(ListenKind.INET, host=host, port=3540), QUEUE, False)
