"""postfix/maillog.py: what went on, out of Postfix's log, and what of it no decision knows."""

from __future__ import annotations

import pytest

from tidegate.postfix.maillog import passages, unjudged

LOG = """\
Nov 24 10:00:00 mx postfix/submission/smtpd[1]: 4AAA00: client=c[192.0.2.1], sasl_method=PLAIN, sasl_username=alice
Nov 24 10:00:00 mx postfix/qmgr[2]: 4AAA00: from=<alice@example.com>, size=500, nrcpt=1 (queue active)
2026-11-24T10:00:01.123456+00:00 mx postfix/submission/smtpd[1]: 4AAA01: client=c[192.0.2.1], sasl_username=bob
2026-11-24T10:00:01.123456+00:00 mx postfix/cleanup[4]: 4AAA01: milter-reject: END-OF-MESSAGE from c[192.0.2.1]: 5.7.1
2026-11-24T10:00:02+00:00 mx postfix/submission/smtpd[1]: 4AAA02: client=c[192.0.2.1], sasl_username=carol
2026-11-24T10:00:02+00:00 mx postfix/cleanup[4]: 4AAA02: milter-hold: END-OF-MESSAGE from c[192.0.2.1]: milter triggers
2026-11-24T10:00:03+00:00 mx postfix/smtpd[1]: 4bYzK13Q0Jz5xZ: client=mx.example.net[198.51.100.1]
2026-11-24T10:00:03+00:00 mx postfix/qmgr[2]: 4bYzK13Q0Jz5xZ: from=<x@example.net>, size=1, nrcpt=1 (queue active)
2026-11-24T10:00:04+00:00 mx postfix/pickup[9]: 4AAA04: uid=0 from=<root>
2026-11-24T10:00:04+00:00 mx postfix/qmgr[2]: 4AAA04: from=<root@example.com>, size=1, nrcpt=1 (queue active)
2026-11-24T10:00:05+00:00 mx postfix/qmgr[2]: 4AAA00: from=<alice@example.com>, size=500, nrcpt=1 (queue active)
2026-11-24T10:00:06+00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from c[192.0.2.1]: 550 5.7.1
2026-11-24T10:00:07+00:00 mx postfix-out/submission/smtpd[1]: 4AAA07: client=c[192.0.2.1], sasl_username=dave
2026-11-24T10:00:07+00:00 mx postfix-out/qmgr[2]: 4AAA07: from=<dave@example.com>, size=1, nrcpt=1 (queue active)
2026-11-24T10:00:08+00:00 mx sshd[1]: 4AAA08: client=not ours
""".splitlines()


def test_what_went_on() -> None:
    """Refused mail did not; held mail did; a second look of the queue manager is no second message."""
    assert [(one.queue_id, one.service, one.login) for one in passages(LOG)] == [
        ("4AAA00", "postfix/submission", "alice"),
        ("4AAA02", "postfix/submission", "carol"),
        ("4bYzK13Q0Jz5xZ", "postfix", ""),
        ("4AAA04", "pickup", ""),
        ("4AAA07", "postfix-out/submission", "dave"),
    ]


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        pytest.param({"4AAA00", "4AAA02", "4bYzK13Q0Jz5xZ", "4AAA04", "4AAA07"}, [], id="all"),
        pytest.param({"4AAA00"}, ["4AAA02", "4bYzK13Q0Jz5xZ", "4AAA04", "4AAA07"], id="none since the first"),
        pytest.param({"4bYzK13Q0Jz5xZ"}, ["4AAA04", "4AAA07"], id="what was before is not known"),
        pytest.param(set(), ["4AAA00", "4AAA02", "4bYzK13Q0Jz5xZ", "4AAA04", "4AAA07"], id="none at all"),
    ],
)
def test_what_got_past(judged: set[str], expected: list[str]) -> None:
    """From the first message on that a decision knows, every other one counts."""
    assert expected == [one.queue_id for one in unjudged(passages(LOG), frozenset(judged))]
