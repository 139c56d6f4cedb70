"""Postfix's hold queue, as postqueue(1) and postcat(1) tell it."""

from __future__ import annotations

import pytest

from tests.builders.mainconf import MakePostfix
from tidegate.postfix import Ourselves
from tidegate.postfix.held import HeldRecipient, envelope_in, listed
from tidegate.postfix.instance import UnreadableError, read_instance
from tidegate.postfix.reinjection import entrance_of
from tidegate.settings.values import Listen, ListenKind

QUEUE = """\
{"queue_name": "deferred", "queue_id": "A1", "arrival_time": 1, "message_size": 5, "sender": "a@b", "recipients": []}
{"queue_name": "hold", "queue_id": "59D0", "arrival_time": 1795548655, "message_size": 389, "forced_expire": false, \
"sender": "alice@example.com", "recipients": [{"address": "bob@example.net"}, {"address": "c@example.net"}]}
{"queue_name": "hold", "queue_id": "60AA", "arrival_time": 1795548600, "message_size": 1, "sender": "MAILER-DAEMON", \
"recipients": [{"address": "bob@example.net", "delay_reason": "x"}]}
"""
ENVELOPE = """\
*** ENVELOPE RECORDS hold/59D042343C1 ***
message_size:             389             726               1               0             389               0
message_arrival_time: Tue Nov 24 19:30:55 2026
named_attribute: sasl_method=PLAIN
named_attribute: sasl_username=alice@example.com
sender: alice@example.com
named_attribute: client_name=unknown
named_attribute: client_address=192.0.2.7
named_attribute: dsn_orig_rcpt=rfc822;bob@example.net
named_attribute: notify_flags=12
original_recipient: bob@example.net
recipient: bob@example.net
named_attribute: notify_flags=1
original_recipient: archive@example.com
recipient: archive@example.com
original_recipient: c@example.net
recipient: c@example.net
*** MESSAGE CONTENTS hold/59D042343C1 ***
*** HEADER EXTRACTED hold/59D042343C1 ***
"""


def test_only_the_hold_queue_is_listed() -> None:
    """The null sender is empty."""
    found = list(listed(QUEUE))
    assert [(one.queue_id, one.sender, len(one.recipients)) for one in found] == [
        ("59D0", "alice@example.com", 2),
        ("60AA", "", 1),
    ]
    with pytest.raises(UnreadableError):
        list(listed("nonsense\n"))


def test_an_envelope_keeps_what_each_recipient_came_with() -> None:
    """A copy that asks for no notice asks for none again (NOTIFY=NEVER)."""
    found = envelope_in(ENVELOPE)
    assert found.sender == "alice@example.com"
    assert found.attributes["sasl_username"] == "alice@example.com"
    assert found.recipients == (
        HeldRecipient("bob@example.net", ("FAILURE", "DELAY"), "rfc822;bob@example.net"),
        HeldRecipient("archive@example.com", ("NEVER",)),
        HeldRecipient("c@example.net"),
    )


OTHERS = {
    "of-another-queue": ENVELOPE.replace("hold/", "deferred/"),
    "nothing": "",
    "nobody-left": "*** ENVELOPE RECORDS hold/X ***\nsender: a@b\n",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_held_is_refused(name: str) -> None:
    """A message that is being delivered must not be sent once more."""
    with pytest.raises(UnreadableError):
        envelope_in(OTHERS[name])


DOOR = """\
127.0.0.1:10587 inet n - n - - smtpd
  -o mynetworks=127.0.0.0/8
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o { smtpd_milters = inet:127.0.0.1:8891 }
pickup """


def test_the_entrance_asks_us_and_relays_for_this_machine(make_postfix: MakePostfix) -> None:
    """Not the submission service, where a program has no login; not one that does not ask us."""
    us = Ourselves(Listen(ListenKind.INET, host="127.0.0.1", port=8891), 8.0, "")
    assert entrance_of([read_instance(make_postfix())], us) is None
    found = entrance_of([read_instance(make_postfix(replace=(("pickup ", DOOR),)))], us)
    assert found is not None
    assert (found.host, found.port) == ("127.0.0.1", 10587)


def test_only_the_null_sender_is_empty() -> None:
    """An address that begins with the same word is an address."""
    (found,) = listed(QUEUE.splitlines()[-1].replace('"MAILER-DAEMON"', '"MAILER-DAEMON@mx.example.net"'))
    assert "MAILER-DAEMON@mx.example.net" == found.sender
