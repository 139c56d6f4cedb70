"""Header values as text: decoded as mail programs show them, whatever was sent."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.conditions.headers import MAX_TEXT, header_text

TEXTS = {
    "plain": (b"hello", "hello"),
    "edge blanks": (b" hello\t", "hello"),
    "unfolded": (b"one\r\n two\n\tthree", "one two\tthree"),
    "NUL": (b"he\0llo", "hello"),
    "raw UTF-8": ("Grüße".encode(), "Grüße"),
    "raw Latin-1": ("Grüße".encode("latin-1"), "Grüße"),
    "base64": (b"=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
    "base64 without padding": (b"=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),
    "base64 of one character too many": (b"=?UTF-8?B?R3LDvMOfZQx?=", "Grüße\x0c"),
    "quoted-printable": (b"=?iso-8859-1?q?Gr=FC=DFe_an_alle?=", "Grüße an alle"),
    "blanks in a word": (b"=?utf-8?q?Gr=C3=BC=C3=9Fe an alle?=", "Grüße an alle"),
    "language tag": (b"=?utf-8*de?q?Gr=C3=BC?=", "Grü"),
    "words are joined": (b"=?utf-8?q?one?= =?utf-8?q?two?=", "onetwo"),
    "folded words are joined": (b"=?utf-8?q?one?=\r\n =?utf-8?q?two?=", "onetwo"),
    "a character split between words": (b"=?utf-8?q?Gr=C3?= =?utf-8?q?=BC?=", "Grü"),
    "words of two charsets are joined": (b"=?utf-8?q?=C3=BC?= =?iso-8859-1?q?=FC?=", "üü"),
    "text between words stays": (b"a =?utf-8?q?b?= c =?utf-8?q?d?= e", "a b c d e"),
    "word inside text": (b"x=?utf-8?q?y?=z", "xyz"),
    "unknown charset, UTF-8 inside": (b"=?x-no-such?q?Gr=C3=BC?=", "Grü"),
    "unknown charset, 8-bit inside": (b"=?x-no-such?q?Gr=FC?=", "Grü"),
    "charset that is no charset": (b"=?rot13?q?uryyb?=", "uryyb"),
    "charset of quadratic time": (b"=?punycode?q?a-b?=", "a-b"),
    "broken bytes are replaced": (b"=?utf-8?q?=FF?=", "\ufffd"),
    "line break inside a word": (b"=?utf-8?q?a=0D=0Ab?=", "a b"),
    "half a surrogate pair": (b"=?utf-7?q?+2AA-?=", "?"),
    "japanese": (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    "not a word": (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
    "word without its end": (b"=?utf-8?q?abc", "=?utf-8?q?abc"),
    "empty": (b"", ""),
}


@pytest.mark.parametrize(("raw", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_header_text(raw: bytes, expected: str) -> None:
    """A value is decoded as far as it goes."""
    assert (expected, True) == header_text(raw)


def test_cut_text() -> None:
    """A long value is cut, says so, and stays UTF-8 where the cut splits a character."""
    text, whole = header_text(b"x" + "ü".encode() * MAX_TEXT)
    assert not whole
    assert "xü" == text[:2]
    assert "ü" == text[-1]


@given(st.binary(max_size=300))
def test_never_raises(raw: bytes) -> None:
    """Any bytes have a text, which has no line break and can be written as UTF-8."""
    text, _ = header_text(raw)
    assert not set(text) & {"\r", "\n", "\0"}
    text.encode("utf-8")


@given(
    st.sampled_from(["utf-8", "utf-7", "utf-16", "iso-2022-jp", "hz", "gbk", "x", "idna", "cp437"]),
    st.binary(max_size=40),
)
def test_never_raises_on_words(charset: str, payload: bytes) -> None:
    """Nor do encoded words of any charset."""
    text, _ = header_text(b"=?%s?q?%s?=" % (charset.encode(), b"".join(b"=%02X" % byte for byte in payload)))
    assert not set(text) & {"\r", "\n", "\0"}
    text.encode("utf-8")


@pytest.mark.parametrize(
    "unit",
    [
        b"=?",
        b"=?a?q?",
        b"=?a*",
        b"=?utf-8?q?a?= ",
        b"=?utf-8?q?a?=",
        b"=?x%d?q?a?=",
        b"=?punycode?q?aaaaaaaa?=",
        b"?=",
        b"\n ",
    ],
    ids=repr,
)
def test_linear_time(unit: bytes) -> None:
    """64 KiB of the worst take a fraction of a second."""
    raw = b"".join(unit % at if b"%d" in unit else unit for at in range(MAX_TEXT // len(unit)))
    begin = time.process_time()
    header_text(raw)
    assert time.process_time() - begin < 0.5
