"""The status document for a person: what is wrong comes first, then what is in force, then who does the work.

Promises: every key of the document is shown in some form, those too that this page does not know by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tidegate.cli.output import safe
from tidegate.cli.statusredis import redis_lines
from tidegate.cli.times import age, moment, several
from tidegate.cli.told import told_lines

__all__ = ["age", "alert_lines", "canary_line", "moment", "several", "text"]

_QUIET = ("active", "shadow", "off")  # states that somebody chose
_WIDTH = 12
_KNOWN = frozenset({
    "version", "pid", "stage", "degraded", "health", "started", "now", "generation", "desired", "load", "workers",
    "totals", "restarts", "clerk", "eased", "settings", "exposure", "poison", "ladder", "soak", "canary", "entries",
    "sources", "problems", "alerts", "notifications", "brake", "lists", "redis",
})  # fmt: skip
Document = Mapping[str, Any]


def text(document: Document) -> str:
    """All of it."""
    now = float(document["now"])
    lines = [
        _headline(document, now),
        *alert_lines(document),
        *_odd_entries(document, now),
        *_eased(document, now),
        *_exposed(document),
        *_quarantined(document, now),
        *_poisoned(document, now),
        *_in_force(document, now),
        *(_row(*one) for one in redis_lines(document, now)),
        *_sources(document, now),
        *_live_lists(document, now),
        *_totals(document),
        *_brake(document),
        *told_lines(document.get("notifications", {}), now),
        *_others(document),
        *_workers(document),
    ]
    return "\n".join(map(safe, lines))


def _row(name: str, what: str) -> str:
    return f"{name:<{_WIDTH - 1}} {what}"


def _headline(document: Document, now: float) -> str:
    health = document.get("health", {})
    if health.get("unready"):
        state = f"NOT READY: {'; '.join(health['unready'])}"
    elif health.get("reasons"):
        state = f"degraded: {'; '.join(health['reasons'])}"
    else:
        state = "DEGRADED" if document.get("degraded") else "all is as written"
    up = age(now - document["started"])
    return _row("tidegate", f"{document['version']}, process {document['pid']}, {document['stage']}, up {up}; {state}")


def alert_lines(document: Document) -> Iterator[str]:
    """The alerts that stand: place, which entry and what became of it, the reason, age and cure."""
    states = {entry["key"]: entry["state"] for entry in document.get("entries", ())}
    quiet = {one["key"]: one for one in document.get("notifications", {}).get("silences", ())}
    for alert in document.get("alerts", ()):
        since = age(float(document["now"]) - alert["since"])
        others = alert["count"] - 1
        more = f" (and {others} more: tidegate check)" if others else ""
        subject = alert["subject"]
        about = f"{subject} ({states[subject].upper()}): " if subject in states else ""
        said = f"{about}{alert['message']}{more} [{alert['code']}], for {since}"
        yield safe(_row(alert["severity"].upper(), f"{alert['place']}: {said}"))
        if alert["cure"]:
            yield safe(_row("", f"cure: {alert['cure']}"))
        if silence := quiet.get(alert.get("key")):
            left = age(silence["until"] - float(document["now"]))
            yield safe(_row("", f"silenced for {left} more by {silence['by']}: {silence['reason']}"))


def _odd_entries(document: Document, now: float) -> Iterator[str]:
    """Entries that aren't simply in force, and of which no alert tells."""
    told = {alert.get("subject") for alert in document.get("alerts", ())}
    for entry in document.get("entries", ()):
        if entry["state"] not in _QUIET and entry["key"] not in told:
            since = f", for {age(now - entry['since'])}" if entry.get("since") else ""
            yield _row(entry["state"].upper(), f"{entry['place']}: {entry['key']}: {entry['reason']}{since}")


def _eased(document: Document, now: float) -> Iterator[str]:
    for hold in document.get("eased", {}).get("holds", ()):
        until = f", until {moment(hold['until'])}" if hold.get("until") else ""
        what = f"{hold['rule'] or 'all rules'}: {hold['easing']}, by {hold['by']}"
        why = f": {hold['reason']}" if hold.get("reason") else ""
        yield _row("EASED", f"{what}{why}, for {age(now - hold['since'])}{until}")


def _exposed(document: Document) -> Iterator[str]:
    found = document.get("exposure", {})
    for one in found.get("rules", ()):
        name, see = one["rule"] or "all rules", f"tidegate exposure {one['rule']}".rstrip()
        yield _row("EXPOSED", f"{name}: {one['state']}, {several(one['messages'], 'message')} since the start: {see}")
    if found.get("unwatched"):
        yield _row("EXPOSED", f"{found['unwatched']} skipped rules more, of which no message is listed")


def _quarantined(document: Document, now: float) -> Iterator[str]:
    for one in document.get("ladder", {}).get("quarantine", ()):
        what = f"generation {one['number']}  {one['digest'][:16]}  for {age(now - one['since'])}: {one['why']}"
        yield _row("QUARANTINE", what)


def _poisoned(document: Document, now: float) -> Iterator[str]:
    """What failed or killed, and what is done about it."""
    poison = document.get("poison", {})
    for trip in poison.get("breakers", ()):
        turn = f", {trip['phase']} until {moment(trip['until'])}" if trip.get("until") else f", {trip['phase']}"
        yield _row("BREAKER", f"rule {trip['rule']}: {trip['why']}, for {age(now - trip['since'])}{turn}")
    held = [f"{poison[what]} {what}" for what in ("messages", "senders") if poison.get(what)]
    held += ["the look-up of the rules"] if poison.get("walks") else []
    if held:
        yield _row("POISON", f"{poison['deaths']} deaths of workers; to blame: {', '.join(held)}")


def _in_force(document: Document, now: float) -> Iterator[str]:
    generation = document["generation"]
    if generation["number"]:
        head = f"{generation['number']}  {generation['digest'][:16]}  for {age(now - generation['since'])}"
    else:
        head = "none: all mail is deferred"
    ladder, soak = document.get("ladder", {}), document.get("soak", {})
    if ladder.get("why"):
        head += f"  ({ladder['rung']}: {ladder['why']})"
    yield _row("generation", head)
    if document.get("canary", {}).get("number"):
        yield _row("canary", _canary(document["canary"], now))
    for one in list(ladder.get("proven", ()))[:1]:
        yield _row("last good", f"{one['number']}  {one['digest'][:16]}  proven")
    if soak and not soak.get("proven") and generation["number"]:
        seen = f"{age(soak['seconds'])} of {age(soak['wanted_seconds'])}"
        yield _row("soak", f"{seen}, {soak['messages']} of {soak['wanted_messages']} messages")
    states = ", ".join(f"{count} {state}" for state, count in generation["states"].items())
    yield _row("entries", states or "none")
    load = document["load"]
    attempt = f"{age(now - load['attempted'])} ago" if load["attempted"] else "never"
    if load["busy"]:
        attempt += ", running"
    elif not document["desired"]["active"]:
        on_trial = document.get("canary", {}).get("runs")
        attempt += f", and what is on disk is {'on trial' if on_trial else 'not in force'}"
    if document["desired"].get("release"):
        attempt += f", release {document['desired']['release'][:12]}"
    yield _row("last load", attempt)
    settings = document["settings"]
    note = " (NOT in force: the last good ones are)" if settings["last_good"] else ""
    yield _row("settings", f"{settings['file']}{note}")


def canary_line(document: Document) -> str:
    """The generation on trial, or what became of the last one."""
    return safe(_row("canary", _canary(document["canary"], float(document["now"]))))


def _canary(canary: Document, now: float) -> str:
    if not canary["runs"]:
        why = f": {canary['reason']}" if canary["reason"] else ""
        return f"generation {canary['number']}: {canary['outcome']} {age(now - canary['ended'])} ago{why}"
    share = f"generation {canary['number']} gets {canary['share']:g} % of the senders beside {canary['beside']}"
    new, old = (_side(canary["compared"][side]) for side in ("canary", "beside"))
    return f"{share} for {age(now - canary['since'])}: {new}; beside it {old}"


def _side(side: Document) -> str:
    judged, stopped = side["judged"], side["stopped"]
    return f"{judged['messages']} messages of {judged['senders']} senders, {stopped['messages']} stopped"


def _live_lists(document: Document, now: float) -> Iterator[str]:
    for one in document.get("lists", {}).get("live", ()):
        state = "in force" if one["in_force"] else "not on all workers yet" if one["read"] else "NEVER READ"
        if one["overdue"]:
            state += ", OVERDUE"
        confirmed = f", confirmed {age(max(0.0, now - one['confirmed']))} ago" if one["confirmed"] else ""
        why = f": {one['why']}" if one["why"] else ""
        yield _row("list", f"{one['list']}: {one['entries']} entries, {state}{confirmed}{why}")


def _sources(document: Document, now: float) -> Iterator[str]:
    """The files that were read; each of them where something is wrong with it."""
    sources = document.get("sources", ())
    if not sources:
        return
    broken = [one for one in sources if one["error"]]
    kinds = [several(count, f"{name} file") for name, count in _counted(one["kind"] for one in sources).items()]
    wrong = f"; {len(broken)} can't be used" if broken else ""
    yield _row("sources", f"{', '.join(kinds)}, read {age(now - sources[0]['read'])} ago{wrong}")
    for one in broken:
        yield _row("", f"{one['name']}: {one['error']}")


def _counted(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def _workers(document: Document) -> Iterator[str]:
    for worker in document["workers"]:
        state = "" if worker.get("ready", True) else ", not ready"
        state += ", leaving" if worker.get("leaving") else ""
        what = f"process {worker['pid']}, generation {worker['generation']}{state}"
        hand = f"{several(worker['sessions'], 'session')}, {several(worker['messages'], 'message')} in hand"
        yield _row(f"worker {worker['slot']}", f"{what}, {hand}")
    if not document["workers"]:
        yield _row("workers", "none")
    if document.get("restarts"):
        yield _row("restarts", f"{document['restarts']} workers had to be replaced")


def _others(document: Document) -> Iterator[str]:
    """Parts that have no words of their own here: what is in them, if anything is."""
    for name, part in document.items():
        said = _flat(part) if name not in _KNOWN else ""
        if said:
            yield _row(name, said)


def _flat(part: Any) -> str:
    if isinstance(part, Mapping):
        pairs = ((name, _flat(value)) for name, value in part.items())
        return ", ".join(f"{name} {value}" for name, value in pairs if value)
    if isinstance(part, list | tuple):
        return "; ".join(found for one in part if (found := _flat(one)))
    return "" if part in (None, "", 0, False) else "yes" if part is True else str(part)


def _totals(document: Document) -> Iterator[str]:
    totals = document.get("totals", {})
    if totals:
        verdicts = [f"{count} {name}" for name, count in totals.get("verdicts", {}).items() if count]
        faults = [f"{count} {name}" for name, count in totals.get("errors", {}).items() if count]
        said = f"{several(totals.get('messages', 0), 'message')} since the start: {', '.join(verdicts) or 'no verdict'}"
        yield _row("totals", f"{said}; own faults: {', '.join(faults) or 'none'}")


def _brake(document: Document) -> Iterator[str]:
    """The automatic brake: at how many senders it acts, and what it has seen."""
    brake = document.get("brake", {})
    if not brake or brake["mode"] == "off":
        yield from [_row("brake", "off: nothing is eased by itself")] if brake else ()
        return
    new = brake["new_rules"]
    rules = f"{several(new, 'rule')} {'is' if new == 1 else 'are'} new"
    stopped = f", {several(brake['stopped_by_new'], 'sender')} stopped by them" if new else ""
    at = f"acts where a new rule stops more than {several(brake['few'], 'sender')}"
    yield _row("brake", f"{brake['mode']}: {at}; {rules}{stopped}; {several(brake['seen'], 'sender')} in the last hour")
