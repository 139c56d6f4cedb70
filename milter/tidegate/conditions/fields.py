"""The field registry: every name that a test may ask for, its type, and the stage from which it is known.

`FIELDS` holds the fixed names; `header.NAME` stands for any header. The validator, the JSON Schema, `tidegate fields`
and the manual are made from these rows. Reading a field is conditions/facts.py's.

The `aligned` fields are absent without a login, and of a header that is not there. `direction` at RCPT is by the
recipients so far. A number of which a part can't be read is at least what was counted.
"""

from __future__ import annotations

import re

from tidegate.model import Field, FieldType, Stage

_T, _S = FieldType, Stage

_ROWS = (
    Field("direction", _T.TEXT, _S.RCPT, "local, outbound, internal or inbound"),
    Field("client.ip", _T.IP, _S.CONNECT, "the client's address"),
    Field("client.net", _T.IP, _S.CONNECT, "the client's /24 (IPv4) or /64 (IPv6)"),
    Field("client.name", _T.DOMAIN, _S.CONNECT, "the client's verified host name"),
    Field("client.helo", _T.TEXT, _S.HELO, "the name given in HELO or EHLO"),
    Field("login", _T.LOGIN, _S.MAIL, "the SASL login, completed with the default realm"),
    Field("auth.type", _T.TEXT, _S.MAIL, "the SASL mechanism, e.g. PLAIN"),
    Field("daemon.name", _T.TEXT, _S.CONNECT, "milter_macro_daemon_name of the smtpd service"),
    Field("tls.version", _T.TEXT, _S.HELO, "e.g. TLSv1.3"),
    Field("tls.cipher", _T.TEXT, _S.HELO, "the cipher suite's name"),
    Field("sender.address", _T.ADDRESS, _S.MAIL, "the envelope sender, as Postfix rewrote it"),
    Field("sender.domain", _T.DOMAIN, _S.MAIL, "the envelope sender's domain"),
    Field("sender.localpart", _T.TEXT, _S.MAIL, "what stands before the @ of the envelope sender"),
    Field("sender.null", _T.BOOLEAN, _S.MAIL, "true for <>"),
    Field("sender.aligned", _T.BOOLEAN, _S.MAIL, "the login may use this envelope sender (map `logins`)"),
    Field("rcpt.count", _T.NUMBER, _S.DATA, "accepted recipients"),
    Field("rcpt.address", _T.ADDRESS, _S.RCPT, "a recipient", recipient=True),
    Field("rcpt.domain", _T.DOMAIN, _S.RCPT, "a recipient's domain", recipient=True),
    Field("rcpt.localpart", _T.TEXT, _S.RCPT, "what stands before the @ of a recipient", recipient=True),
    Field("rcpt.external", _T.BOOLEAN, _S.RCPT, "a recipient's domain is not in `own-domains`", recipient=True),
    Field("header.from.address", _T.ADDRESS, _S.HEADERS, "the mailboxes of From"),
    Field("header.from.domain", _T.DOMAIN, _S.HEADERS, "their domains"),
    Field("header.from.aligned", _T.BOOLEAN, _S.HEADERS, "the login may use every mailbox of From"),
    Field("header.sender.address", _T.ADDRESS, _S.HEADERS, "the mailbox of Sender"),
    Field("header.sender.domain", _T.DOMAIN, _S.HEADERS, "its domain"),
    Field("header.sender.aligned", _T.BOOLEAN, _S.HEADERS, "the login may use the mailbox of Sender"),
    Field("header.reply-to.address", _T.ADDRESS, _S.HEADERS, "the mailboxes of Reply-To"),
    Field("header.reply-to.domain", _T.DOMAIN, _S.HEADERS, "their domains"),
    Field("header.reply-to.aligned", _T.BOOLEAN, _S.HEADERS, "the login may use every mailbox of Reply-To"),
    Field("subject", _T.TEXT, _S.HEADERS, "the decoded subject"),
    Field("disclosed.count", _T.NUMBER, _S.HEADERS, "distinct addresses visible in To and Cc"),
    Field("disclosed.external_count", _T.NUMBER, _S.HEADERS, "those of them outside `own-domains`"),
    Field("message.size", _T.NUMBER, _S.BODY, "bytes; SIZE= of MAIL where no rule reads the body"),
    Field("header.count", _T.NUMBER, _S.HEADERS, "how many headers the message has"),
    Field("limit.share", _T.NUMBER, _S.HEADERS, "how much of the rule's own `limits` is used with this message: 80%"),
)

FIELDS: dict[str, Field] = {row.name: row for row in _ROWS}

RECIPIENT_FIELDS: dict[str, str] = {
    "address": "rcpt.address",
    "domain": "rcpt.domain",
    "localpart": "rcpt.localpart",
    "external": "rcpt.external",
}
"""Names inside any_rcpt, all_rcpt and no_rcpt, and the fields they stand for."""

_PART = re.compile(r"\.(?:address|domain|localpart|aligned)\Z")  # a mailbox's part, and no header's name
_HEADER_NAME = re.compile(r"[!-9;-~]{1,200}\Z")  # RFC 5322 section 2.2: printable ASCII but the colon


def find_field(name: str) -> Field | None:
    """The registry's row for `name` (case ignored), or one made for `header.NAME`; None: no such field."""
    name = name.lower()
    row = FIELDS.get(name)
    if row is None and name.startswith("header.") and _HEADER_NAME.match(name[7:]) and not _PART.search(name):
        row = Field(name, FieldType.TEXT, Stage.HEADERS, "the decoded values of that header")
    return row
