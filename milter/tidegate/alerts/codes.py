"""The daemon's own problem codes: summary and cure of each. Those of the policy language are in policy/codes.py.

Codes are never renamed: people search for them.
"""

from __future__ import annotations

from tidegate.model import EntryKey, Place, Problem, Severity

CONFIRM = "say that it is meant: tidegate confirm"

CODES: dict[str, tuple[str, str]] = {
    "settings-unreadable": ("the settings file can't be read", "make the file readable for the daemon's account"),
    "settings-syntax": ("the settings file is not valid YAML", "correct the line that is shown"),
    "settings-unknown-key": ("a setting that does not exist", "remove it, or correct its name"),
    "settings-duplicate-key": ("a setting stands twice", "keep one of them"),
    "settings-missing": ("a setting that has to be there is missing", "add it"),
    "settings-value": ("a setting has a value that can't be used", "write one of the forms that are named"),
    "settings-died": ("the reader of the settings died", "the file is hostile or damaged: restore it"),
    "no-resources": (
        "no process or descriptor is to be had for reading the settings",
        "see what uses up processes and descriptors; then send HUP, or restart",
    ),
    "settings-last-good": ("the last good settings run", "repair the settings, then restart"),
    "settings-changed": ("the settings on disk differ from those in force", "restart, or run --takeover"),
    "listen-failed": ("the milter socket can't be opened", "correct `listen`, or the folder's permissions"),
    "socket-lost": ("the milter socket is gone from its place", "restart the daemon; see who removes files there"),
    "successor-failed": (
        "a daemon that was to take over ended; this one serves on",
        "see what it wrote to standard error; then send USR2, or restart",
    ),
    "no-policy": ("there is no policy: all mail is accepted", "put a *.yaml file into the policy directory"),
    "nothing-readable": (
        "no policy file can be read, and no record of accepted entries is there",
        f"restore the policy directory; where it is meant to be empty, {CONFIRM}",
    ),
    "no-generation": ("no policy could be loaded: all mail is deferred", "repair the policy directory"),
    "source-unreadable": ("a source can't be read; what it held before stays in force", "make it readable"),
    "source-empty": (
        "a source that held entries is empty; they stay in force",
        f"restore it, or {CONFIRM}",
    ),
    "source-truncated": (
        "a file lost its end mark `...`; what it held stays in force",
        f"save it again, or {CONFIRM}",
    ),
    "source-ignored": ("something in the policy directory is no regular file", "remove it, or rename it"),
    "mass-vanish": (
        "more than half of the entries are gone at once; they stay in force",
        f"restore them, or {CONFIRM}",
    ),
    "entry-stale": ("an entry serves as it last was", "repair or restore what is named"),
    "entry-skipped": ("an entry is not in force", "repair what is named"),
    "entry-deferring": ("the mail that an entry may concern is deferred", "repair what is named"),
    "entry-tripped": ("an entry has been eased", "see the reason; repair the rule, or wait: it is tried again"),
    "loader-died": ("reading this killed the loader; it is left out", "simplify the entry that is named"),
    "loader-failed": ("the policies could not be loaded; the last generation stays", "see the log for the reason"),
    "brake-on": (
        "rules are taken back by hand",
        "when the reason is gone: tidegate brake off, or take the line out of the brake file",
    ),
    "brake-file": (
        "the brake file has lines that can't be used",
        "write WHAT UNTIL REASON, as in: all 2026-12-01T10:00Z too many refusals",
    ),
    "restraints-damaged": (
        "the record of what is eased is damaged: nothing is eased any more",
        "see what should be: tidegate brake status, then tidegate brake on",
    ),
    "restraints-unwritable": (
        "the record of what is eased can't be written: a restart would forget it",
        "free space in the state directory",
    ),
    "exposure-unwritable": (
        "the exposure ledger can't be kept: what a skipped rule lets pass is not listed",
        "free space in the state directory",
    ),
    "release-changed": (
        "files of a release are not what was applied",
        "apply them as a release of their own: tidegate apply DIR; or go back: tidegate apply --rollback",
    ),
    "release-lapsed": (
        "a release was not confirmed in time, and the one before it serves",
        "apply it again where it is meant; else tidegate apply --rollback makes it final",
    ),
    "release-forced": (
        "a release was applied past its gates",
        "apply it, or the next one, through its gates",
    ),
    "replay-unavailable": (
        "judged messages are not kept for replay, as the setting `replay` asks",
        "see the reason: install python3-cryptography, or free space in the state directory",
    ),
    "record-corrupt": (
        "a record in the state directory can't be used; it was set aside",
        "none: a new one is written; restore NAME.damaged where it is another version's",
    ),
    "proven-unusable": (
        "a proven generation can't be used on this machine; the next older one is taken",
        "none: the policy in force is put on record after its soak",
    ),
    "proven-unwritable": (
        "the proven generation can't be put on record",
        "free space in the state directory, or make it writable",
    ),
    "proven-serves": (
        "a proven generation serves in place of the policies on disk",
        "repair what the other alerts name; see tidegate status and the log",
    ),
    "baseline-serves": (
        "the policies can't be loaded and none is proven: the packaged baseline serves",
        "repair what the other alerts name; see tidegate status and the log",
    ),
    "generation-quarantined": (
        "the policies on disk are in quarantine: they did harm when they were in force",
        "correct or revert them, or say that they are meant: tidegate confirm --quarantine",
    ),
    "quarantine-unwritable": (
        "the quarantine can't be recorded: a restart would forget it",
        "free space in the state directory, or make it writable",
    ),
    "no-way-back": (
        "there is no proven generation to go back to",
        "correct or revert the policies by hand",
    ),
    "redis-down": (
        "Redis does not answer; the policy that was fetched last serves on",
        "see `redis` in tidegate status, and the server's log; nothing here has to be restarted",
    ),
    "redis-refused": (
        "Redis does not let us in",
        "compare `redis_user` and `redis_password_file` with its users: redis-cli ACL LIST",
    ),
    "redis-foreign": (
        "Redis answers with something that is not ours",
        "see what is kept under our keys: redis-cli --scan --pattern '{tidegate:*'",
    ),
    "redis-unwritable": (
        "Redis takes no writes: the fleet does not hear of this daemon",
        "see whether it is a replica, or full: redis-cli INFO replication memory",
    ),
    "revision-refused": (
        "the head in Redis can't be used; the revision before serves on",
        "put a whole one in its place: tidegate policy rollback REVISION",
    ),
    "revision-older": (
        "the head in Redis does not come after the revision that serves",
        "put ours back: tidegate policy rollback REVISION; where the older one is meant: tidegate confirm --revision",
    ),
    "revision-unreviewed": (
        "policy in Redis was written past tidegate policy, by hand",
        "review it and put it: tidegate policy put",
    ),
    "revision-untrusted": (
        "a policy revision has no signature that counts; the one before serves on",
        "sign what is meant: tidegate policy rollback REVISION --key FILE; where nobody of yours wrote this one, see "
        "who can write to Redis",
    ),
    "signatures-unavailable": (
        "signatures of the policy are required and can't be checked; no revision is taken, the one before serves on",
        "install python3-cryptography; put the public keys of those who sign into the folder `trusted_keys`",
    ),
    "revision-forced": (
        "a policy revision was promoted past its gates",
        "confirm it: tidegate policy confirm; or promote the next one through its gates",
    ),
    "revision-local": (
        "this host went back to an earlier policy revision by itself",
        "make it so for all: tidegate policy rollback REVISION; or take what Redis has: tidegate confirm --revision",
    ),
    "revision-behind": (
        "a policy revision was fetched and is not in force",
        "see the other alerts, then load it: tidegate reload",
    ),
    "snapshot-unwritable": (
        "a policy revision can't be put on record, so it is not taken",
        "free space in the state directory, or make it writable",
    ),
    "revision-unread": (
        "Redis is configured, and its policy was never read",
        "see why Redis can't be reached: tidegate status",
    ),
    "snapshot-damaged": (
        "the policy revision on disk can't be used; what was in force stays",
        "none: it is fetched from Redis again",
    ),
    "revision-expired": (
        "a policy revision was not confirmed in time and has reverted",
        "put it again, or keep what serves: tidegate policy confirm",
    ),
    "usual-unwritable": (
        "what is usual of each rule can't be recorded: after a restart the brake would learn it anew",
        "free space in the state directory, or make it writable",
    ),
    "record-unwritable": ("a record can't be written", "free space in the state directory, or make it writable"),
    "accepted-unwritable": (
        "the record of accepted entries can't be put into place: a broken edit would bring an older text back",
        "free space in the state directory, or make it writable",
    ),
    "canary-abandoned": (
        "a new generation did harm to the senders that met it first; the one before stays in force",
        "correct or revert what is named; where it is meant: tidegate confirm --quarantine",
    ),
    "worker-refused": ("a worker could not map the newest generation", "see the log; it is replaced"),
    "worker-behind": ("a worker answers, and never took the newest generation", "none: it is replaced; report it"),
    "workers-dying": ("workers die again and again", "see the log, and report it with its last lines"),
    "poison-message": (
        "a message killed its inspector three times; for a day it is judged without its content",
        "see `died in a judgement` in the log, and report it with that message",
    ),
    "poison-sender": (
        "mail of one sender killed its inspector three times; for a day the rules that it met are left out for it",
        "see `died in a judgement` in the log; stop that sender, and report it",
    ),
    "culprits-damaged": ("the record of who killed workers is damaged; it was set aside", "none: a new one is written"),
    "culprits-unwritable": ("who killed workers can't be recorded", "free space in the state directory"),
    "limits-local": (
        "limits are not counted in Redis: each goes by its on_store_down, by default on this host alone",
        "see what is wrong with Redis; workers go back to it by themselves",
    ),
    "limits-unavailable": (
        "this host's own file can't count limits: what depends on one is not known",
        "free space in the state directory, or make it writable; it goes on by itself",
    ),
    "limits-lost": (
        "counters of limits were lost: senders may send more than their limits for a while",
        "see what became of them; for Redis set maxmemory-policy noeviction, and let it save",
    ),
    "log-unwritable": ("the log can't be written", "free space, or correct its permissions; then send USR1"),
    "clerk-dying": ("the clerk dies again and again: changes on disk are not seen", "send HUP after an edit"),
    "control-unavailable": ("the control socket can't be made: `status` can't ask", "correct the state directory"),
    "metrics-unavailable": ("the metrics address can't be opened", "choose a free address"),
    "list-unread": (
        "a live list was never read: what depends on it is in doubt",
        "make Redis reachable; see `tidegate status` for the reason",
    ),
    "list-behind": (
        "a live list can't be compared with Redis: it serves as it was",
        "make Redis reachable; entries made there meanwhile are not in force here",
    ),
    "list-guarded": (
        "what Redis says of a live list is not believed: it stays as it was",
        "restore the list in Redis; where it is meant so: tidegate list confirm NAME",
    ),
    "list-entries": (
        "entries of a live list can't be used; they are left out",
        "remove them: tidegate list rm NAME ENTRY",
    ),
    "list-missing": (
        "a live list is not in Redis: it is taken for empty",
        "tidegate list create NAME, or correct the name in the policy",
    ),
    "list-copy": (
        "the copy of a live list on disk can't be written, or was damaged",
        "free space in the state directory; without the copy a restart needs Redis",
    ),
    "list-additions-lost": (
        "entries that rules put on lists were lost, or can't be written",
        "make Redis reachable, or repair the list; see `suspends` in the decision log for whom it was about",
    ),
    "mail-deferred": ("mail is deferred by our own doing", "see `fault` and `unknown` in the decision log"),
    "held-long": (
        "messages wait in Postfix's hold queue for longer than they may",
        "look at them: tidegate held list; then tidegate held release, or tidegate held drop",
    ),
    "mail-unjudged": ("mail went on that we never judged", "see the ways past us: tidegate postfix check"),
    "channel-failing": ("notifications can't be delivered", "see `tidegate alerts`, then try `tidegate alerts test`"),
    "alerts-unrecorded": ("what was told about alerts can't be recorded", "free space in the state directory"),
}

FOUND = frozenset({"held-long", "mail-unjudged"})
"""What commands find in Postfix's queue and log, where only root can look."""

CRITICAL = frozenset({"no-generation", "listen-failed", "socket-lost", "workers-dying"})
"""They stop all mail: somebody is needed at once."""

DEFERRING = CRITICAL | {"entry-deferring", "mail-deferred", "nothing-readable"}
"""Mail waits for their repair, so they get worse with time."""


def problem(
    code: str,
    message: str,
    place: Place,
    severity: Severity = Severity.ERROR,
    entry: EntryKey | None = None,
) -> Problem:
    """A problem of the daemon itself, with the cure that CODES has. Raises KeyError for a code that isn't there."""
    return Problem(code, message, place, severity, entry, CODES[code][1])
