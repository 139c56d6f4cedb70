"""Notifications by mail: written into a folder of the state directory, handed to sendmail(1) from there.

A hardened unit can't run sendmail(1): Postfix's postdrop is set-group-ID, which NoNewPrivileges takes away. So the
daemon only writes messages, and the unit tidegate-mail.service runs `tidegate alerts mail`, which drains the folder.
Where the daemon is not confined (no systemd, a test) it drains it itself.

Promises: a message is in the folder whole or not at all, and leaves it once sendmail(1) took it; its sender is the
null sender and it says Auto-Submitted, so nobody answers it and no bounce comes back.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from tidegate.alerts import own
from tidegate.alerts.plan import ChannelPlan
from tidegate.alerts.posting import UndeliveredError

FOLDER = "mail"  # in the state directory
SENDMAIL = ("/usr/sbin/sendmail", "-i", "-t", "-f", "<>")  # Postfix's, and others': the null sender
UNCOLLECTED = 300.0  # seconds after which nobody seems to drain the folder
LIMIT = 1000  # messages that may wait
_SUFFIX = ".eml"
_PATIENCE = 60.0  # seconds for one sendmail(1)
_POLICY = SMTP.clone(linesep="\n", max_line_length=78)


@dataclass(frozen=True, slots=True)
class MailSender:
    """Writes messages for sendmail(1)."""

    plan: ChannelPlan
    state: Path
    host: str

    @property
    def folder(self) -> Path:
        return self.state / FOLDER

    def send(self, values: Mapping[str, Any]) -> str:
        """Put one message into the folder. Raises UndeliveredError."""
        try:
            put(self.folder, str(values["id"]), message(values, self.plan, self.host, own.key(self.state)))
        except OSError as error:
            raise UndeliveredError(f"{self.folder}: {error.strerror}") from error
        if confined():
            return f"it lies in {self.folder}; tidegate-mail.service hands it to sendmail(1)"
        failed = drain(self.folder)
        if failed:
            raise UndeliveredError(failed)
        return "sendmail(1) took it"

    def trouble(self, now: float) -> str:
        """Does somebody drain the folder?"""
        found = _messages(self.folder)
        if found and now - found[0].stat().st_mtime > UNCOLLECTED:
            return f"messages wait in {self.folder}: does tidegate-mail.path run?"
        return ""


def confined() -> bool:
    """Can this process not run a set-group-ID program?"""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        return True
    return re.search(r"^NoNewPrivs:\s*0$", status, re.MULTILINE) is None


def message(values: Mapping[str, Any], plan: ChannelPlan, host: str, key: bytes) -> bytes:
    """One notification as a mail, with our mark under `key`. Those of one alert are one thread."""
    mail = EmailMessage(policy=_POLICY)
    severity = str(values.get("severity", "")).upper()
    status = str(values["status"])
    about = str(values.get("subject") or f"{values.get('count', '')} alerts".strip())
    what = f"{about}: {values['code']}" if "code" in values else "test" if status == "test" else about
    mail["Subject"] = _line(f"[tidegate] {'RESOLVED' if status == 'resolved' else severity} {what} ({host})")
    mail["From"] = _line(plan.sender or f"tidegate@{host}")
    mail["To"] = ", ".join(plan.target)
    mail["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(float(values["time"])))
    identity = f"<{_line(str(values['id']))}.{int(float(values['time']))}@{host}>"
    mail["Message-ID"] = identity
    mail[own.HEADER] = own.mark(key, identity)
    if "key" in values:
        mail["References"] = f"<{values['key']}.{int(float(values['since']))}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content("\n".join(_body(values)) + "\n", cte="quoted-printable")
    return mail.as_bytes()


def _body(values: Mapping[str, Any]) -> list[str]:
    lines = [_line(str(values["text"]), 2000), ""]
    for name in ("cure", "place", "key", "at", "host"):
        if values.get(name):
            lines.append(f"{name + ':':<8}{_line(str(values[name]), 500)}")
    for one in values.get("alerts", ()):
        lines.append(f"  {one['event']:<10} {one['key']}  {_line(one['place'] + ': ' + one['message'], 300)}")
    if values["status"] == "firing" and "key" in values:
        lines += [
            "",
            f"To hear no more of it for a while: tidegate alerts silence {values['key']} --for 4h --reason WHY",
        ]
    return lines


def _line(text: str, limit: int = 200) -> str:
    """One line that can't become another header."""
    cut = text.encode("utf-8", "replace").decode("utf-8")[:limit]
    return "".join(one if one.isprintable() else "?" for one in cut)


def put(folder: Path, name: str, data: bytes) -> None:
    """A message that is there whole, or not at all. Raises OSError."""
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    if len(_messages(folder)) >= LIMIT:
        raise OSError(28, f"{LIMIT} messages wait already")
    draft = folder / f".{name}.{os.getpid()}.tmp"
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / f"{name}{_SUFFIX}")
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def drain(folder: Path, command: tuple[str, ...] = SENDMAIL) -> str:
    """Hand all messages to sendmail(1), oldest first; why one of them was not taken, "" where all were."""
    failed = ""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in _messages(folder):
            failed = _hand_over(path, command) or failed
    finally:
        os.close(lock)
    return failed


def _hand_over(path: Path, command: tuple[str, ...]) -> str:
    try:
        with open(path, "rb") as file:
            done = subprocess.run(
                command,
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_PATIENCE,
                check=False,
                start_new_session=True,
            )
        if done.returncode == 0:
            path.unlink()
            return ""
    except FileNotFoundError:
        return f"{command[0]} is not there"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return f"{command[0]} ended with exit status {done.returncode}: {said[-1][:200] if said else ''}".rstrip(": ")


def _messages(folder: Path) -> list[Path]:
    """Those that wait, oldest first."""
    found = []
    for path in folder.glob(f"*{_SUFFIX}"):
        try:
            found.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue  # it was sent just now
    return [path for _, path in sorted(found)]
