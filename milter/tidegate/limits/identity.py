"""Which message this is, so that one that comes again is not charged again.

Theory. A client that did not see our answer, or whom somebody behind us refused for now, hands the same message in once
more. It is the same if the login (without one: the client), the sender, the recipients, the size and the headers are
that a client writes once and never changes; and the body, where a rule reads it and it is therefore known. Headers that
others add on the way (Received, signatures) are left out, because they differ each time; Date too: where the client
wrote none Postfix writes its own before it asks us. A message without a Message-ID
has no identity, whatever its body: a script that hands in the same text again and again means it each time.

Promises: a digest, which tells nobody what it was made of. Refuses: a clock; how long a message is remembered is the
store's.
"""

from __future__ import annotations

from hashlib import blake2b

from tidegate.model import Transaction

_SAME = frozenset(
    {b"message-id", b"from", b"sender", b"reply-to", b"to", b"cc", b"subject", b"content-type", b"in-reply-to"}
)


def identity(transaction: Transaction) -> str:
    """The message's identity, 32 hexadecimal digits; "" where it has none."""
    message = transaction.message
    if message is None:
        return ""
    kept: list[bytes] = []
    named = False
    for name, value in message.headers:
        key = name.lower().encode("utf-8", "backslashreplace")
        if key in _SAME:
            named = named or (key == b"message-id" and bool(value.strip()))
            kept.append(key + b":" + value.strip())
    if not named:
        return ""
    envelope = transaction.envelope
    who = envelope.login or f" {transaction.connection.client_ip}"
    texts = [
        who,
        envelope.sender,
        *sorted({one.address for one in envelope.recipients}),
        str(message.size),
        message.body,
    ]
    found = blake2b(digest_size=16)
    for part in (*[text.encode("utf-8", "backslashreplace") for text in texts], *kept):
        found.update(len(part).to_bytes(4, "big"))
        found.update(part)
    return found.hexdigest()
