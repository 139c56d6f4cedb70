"""What a Postfix configuration lets past us, or makes of our faults: pure, over an Instance.

Promises: every way that is known by which mail can go out unjudged, or be refused because we fail, is a finding with
place, cause and cure. Refuses: looking at anything but its arguments (what lies on the disk is an argument too).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tidegate.model import Place, Problem, Severity
from tidegate.postfix.endpoint import is_ours
from tidegate.postfix.instance import Instance, Service
from tidegate.postfix.lists import MalformedError, Milter, parse_list, seconds
from tidegate.postfix.relays import relays
from tidegate.settings import Listen

_ERROR, _WARNING, _NOTICE = Severity.ERROR, Severity.WARNING, Severity.NOTICE

CODES: dict[str, tuple[Severity, str, str]] = {
    "service-unjudged": (_ERROR, "mail goes out through a service that does not ask us", "tidegate postfix enable"),
    "milter-list-malformed": (_ERROR, "smtpd can't read its milter list", "mend the braces"),
    "default-action": (_ERROR, "our fault would not be a deferral", "write default_action=tempfail into our braces"),
    "timeout-short": (_ERROR, "Postfix gives up before our deadline", "write command_timeout=20s, content_timeout=60s"),
    "timeout-long": (_WARNING, "a hang would keep senders waiting", "write command_timeout=20s, content_timeout=60s"),
    "not-first": (_WARNING, "another milter is asked before us", "put us first in the list, a DKIM signer last"),
    "milter-accepts": (_WARNING, "a milter beside us is passed by where it fails", "give it default_action=tempfail"),
    "proxy-filter": (_ERROR, "a proxy filter keeps the content from us", "let the filter be an after-queue one"),
    "no-milters": (_ERROR, "receive_override_options switches milters off", "remove no_milters there"),
    "milter-maps": (_WARNING, "a map can switch milters off for clients", "see that no entry says DISABLE"),
    "protocol": (_ERROR, "the milter protocol is too old for us", "milter_protocol = 6"),
    "header-checks": (_WARNING, "checks act on the headers that we add", "see that none of them refuses or discards"),
    "macro-missing": (_ERROR, "Postfix does not tell us what rules ask for", "restore the macro"),
    "xclient": (_WARNING, "whoever may use XCLIENT can claim any login", "leave it empty"),
    "nul-hides": (_WARNING, "what stands behind a NUL in a header is hidden from us", "message_strip_characters = \\0"),
    "socket-unreachable": (_ERROR, "Postfix can't reach our socket", "correct `listen`, `socket_group` or the folder"),
    "chroot-address": (_ERROR, "an address that does not work in a chroot", "write 127.0.0.1 instead of a name"),
    "local-unjudged": (_NOTICE, "what sendmail(1) submits is not judged", "tidegate postfix enable --local"),
    "local-fault": (
        _ERROR,
        "local mail is bounced or passed by where we fail",
        "give the entry default_action=tempfail",
    ),
    "bounces-asked": (_NOTICE, "Postfix's own bounces are shown to us; they pass", "nothing, if that is meant"),
    "expands-behind": (_NOTICE, "recipients or senders change after we have seen them", "nothing, if that is meant"),
    "comes-back": (_NOTICE, "a content filter gives mail back without us", "nothing, if only it can connect there"),
    "postfix-complains": (_WARNING, "postconf warns about the configuration", "mend what it names"),
}

_MACROS = {
    "milter_mail_macros": ("{auth_authen}", "{auth_type}", "{mail_addr}"),
    "milter_rcpt_macros": ("{rcpt_addr}",),
}
_EXPANDING = (
    "virtual_alias_maps", "canonical_maps", "recipient_canonical_maps", "sender_canonical_maps", "always_bcc",
    "sender_bcc_maps", "recipient_bcc_maps", "smtpd_command_filter",
)  # fmt: skip
_PATIENT = 120.0  # seconds after which a sender would rather not wait
_SAFE = ("tempfail", "shutdown")


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What a check has to know of us and of the disk: where we listen, how long we take, whom the socket lets in."""

    listen: Listen
    deadline: float  # seconds
    obstacle: str = ""  # why user postfix can't connect to the socket, where it can't


def findings(instance: Instance, us: Ourselves) -> tuple[Problem, ...]:
    """Everything that is wrong or worth knowing, errors first."""
    found = [*_instance(instance, us)]
    for service in instance.services:
        if service.command == "smtpd":
            found += _service(instance, service, us)
    return tuple(sorted(found, key=lambda one: -one.severity))


def finding(code: str, where: str, message: str, cure: str = "") -> Problem:
    """One of CODES. Raises KeyError for another."""
    severity, _, usual = CODES[code]
    return Problem(code, message, Place(where, 0, 0), severity, cure=cure or usual)


def ours(instance: Instance, service: Service | None, milters: Sequence[Milter], us: Ourselves) -> list[int]:
    """Where in a list we stand."""
    chroot = service.chroot if service is not None else _cleanup_chroot(instance)
    queue = instance.values.get("queue_directory", "")
    return [at for at, one in enumerate(milters) if is_ours(one.endpoint, us.listen, queue, chroot)]


def _cleanup_chroot(instance: Instance) -> bool:
    cleanup = instance.find("cleanup")
    return cleanup.chroot if cleanup is not None else False


def _service(instance: Instance, service: Service, us: Ourselves) -> Iterator[Problem]:
    where = service.key
    try:
        milters = parse_list(instance.value(service, "smtpd_milters"))
    except MalformedError as error:
        yield finding("milter-list-malformed", where, f"smtpd_milters: {error}")
        return
    at = ours(instance, service, milters, us)
    whom = relays(instance, service)
    if not at:
        if whom:
            yield finding("service-unjudged", where, f"it relays for {whom}, and no milter of its list is Tidegate")
        elif instance.value(service, "content_filter") or service.overrides.get("smtpd_milters") == "":
            yield finding("comes-back", where, "it takes mail from this machine, and asks no milter")
        return
    yield from _entry(instance, service, milters[at[0]], us)
    yield from _beside(milters, at[0], where)
    yield from _around(instance, service)


def _entry(instance: Instance, service: Service, milter: Milter, us: Ourselves) -> Iterator[Problem]:
    where = service.key
    action = milter.attributes.get("default_action") or instance.value(service, "milter_default_action") or "tempfail"
    if action not in _SAFE:
        what = {
            "accept": "passed unjudged",
            "reject": "refused with a 5xx",
            "quarantine": "held, and never asked again",
        }
        yield finding(
            "default-action",
            where,
            f"default_action is {action}: while we can't answer, mail is {what.get(action, action)}",
        )
    for name in ("command_timeout", "content_timeout"):
        written = milter.attributes.get(name) or instance.value(service, f"milter_{name}")
        time = seconds(written)
        if time is not None and time <= us.deadline:
            yield finding("timeout-short", where, f"{name} is {written}, our deadline {us.deadline:g} s")
        elif time is not None and time > _PATIENT:
            yield finding("timeout-long", where, f"{name} is {written}: a daemon that hangs costs the sender all of it")
    protocol = milter.attributes.get("protocol") or instance.value(service, "milter_protocol")
    if protocol and not protocol.strip().startswith("6"):
        yield finding("protocol", where, f"milter_protocol is {protocol}: edits and macros of version 6 are missing")
    if service.chroot and milter.endpoint.startswith("inet:localhost:"):
        yield finding(
            "chroot-address", where, f"{milter.endpoint}: in a chroot there is no hosts file, so no localhost"
        )
    if us.obstacle:
        yield finding("socket-unreachable", where, us.obstacle)


def _beside(milters: Sequence[Milter], at: int, where: str) -> Iterator[Problem]:
    for other in milters[:at]:
        yield finding(
            "not-first", where, f"{other.endpoint} is asked before us: what it holds, refuses or discards we never see"
        )
    for other in (*milters[:at], *milters[at + 1 :]):
        action = other.attributes.get("default_action", "")
        if action in ("accept", "quarantine", "reject"):
            yield finding("milter-accepts", where, f"{other.endpoint} has default_action={action}")


def _around(instance: Instance, service: Service) -> Iterator[Problem]:
    where = service.key
    proxy = instance.value(service, "smtpd_proxy_filter")
    if proxy:
        yield finding(
            "proxy-filter", where, f"smtpd_proxy_filter = {proxy}: we see the envelope, and no header or body"
        )
    if "no_milters" in instance.value(service, "receive_override_options").replace(",", " ").split():
        yield finding("no-milters", where, "receive_override_options has no_milters")
    maps = instance.value(service, "smtpd_milter_maps")
    if maps:
        yield finding("milter-maps", where, f"smtpd_milter_maps = {maps}: an entry DISABLE lets a client past us")
    for name, wanted in _MACROS.items():
        told = instance.value(service, name).replace(",", " ").split()
        missing = [macro for macro in wanted if macro not in told and macro.strip("{}") not in told]
        if missing:
            yield finding(
                "macro-missing", where, f"{name} lacks {' '.join(missing)}", f"add {' '.join(missing)} to {name}"
            )
    if instance.value(service, "smtpd_authorized_xclient_hosts"):
        hosts = instance.value(service, "smtpd_authorized_xclient_hosts")
        yield finding("xclient", where, f"smtpd_authorized_xclient_hosts = {hosts}")


def _instance(instance: Instance, us: Ourselves) -> Iterator[Problem]:
    for text in instance.complaints:
        yield finding("postfix-complains", "main.cf", text)
    checks = instance.value(None, "milter_header_checks")
    if checks:
        yield finding("header-checks", "main.cf", f"milter_header_checks = {checks}")
    if "\\0" not in instance.value(None, "message_strip_characters"):
        yield finding("nul-hides", "main.cf", "message_strip_characters has no \\0")
    expanding = [name for name in _EXPANDING if instance.value(None, name) and name in instance.written]
    if expanding:
        yield finding(
            "expands-behind", "main.cf", f"{', '.join(expanding)}: we see what the client said, not what becomes of it"
        )
    yield from _local(instance, us)


def _local(instance: Instance, us: Ourselves) -> Iterator[Problem]:
    try:
        milters = parse_list(instance.value(None, "non_smtpd_milters"))
    except MalformedError as error:
        yield finding("milter-list-malformed", "main.cf", f"non_smtpd_milters: {error}")
        return
    at = ours(instance, None, milters, us)
    if not at:
        yield finding(
            "local-unjudged", "main.cf", "non_smtpd_milters does not name us: cron, PHP and scripts go out unseen"
        )
        return
    action = milters[at[0]].attributes.get("default_action") or instance.value(None, "milter_default_action")
    if action and action not in _SAFE:
        yield finding("local-fault", "main.cf", f"non_smtpd_milters: default_action is {action}")
    if "bounce" in instance.value(None, "internal_mail_filter_classes"):
        yield finding("bounces-asked", "main.cf", "internal_mail_filter_classes has bounce")
