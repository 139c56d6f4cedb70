"""The one guard around every callback, and the whitelist of what a callback may say.

Promises: nothing that is raised passes it; SystemExit, KeyboardInterrupt, MemoryError and RecursionError are no
exceptions. It is recorded (what, where, which message; never its text, which may hold content) and becomes one 451 at
end of message. A code that its callback may not give, or gives where silence was negotiated, is a fault like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

import milter
from tidegate.engine.inquiry import place_of
from tidegate.front.answer import CONTINUE, NOREPLY, TEMPFAIL, fault
from tidegate.front.desk import Worker
from tidegate.front.session import Session, macro
from tidegate.observe.counters import ErrorKind

_log = structlog.get_logger()


class UnlistedAnswerError(Exception):
    """A handler returned what its callback may not say."""


def guarded(name: str, handler: Callable[..., int], quiet: int, allowed: frozenset[int]) -> Callable[..., int]:
    """`handler` as libmilter's callback `name`.

    `quiet` is the protocol step (SMFIP_NR_*) with which no reply is wanted, `allowed` what may be returned otherwise.
    """

    def callback(ctx: Any, *arguments: Any) -> int:
        session: Session | None = None
        try:
            session = ctx.getpriv()
            if session is None:
                session = Session()
                ctx.setpriv(session)
            code = handler(ctx, session, *arguments)
            if type(code) is int and code in allowed:
                if not session.quiet & quiet:
                    return code
                if code == CONTINUE:
                    return NOREPLY
            raise UnlistedAnswerError
        except BaseException as error:  # noqa: BLE001 - the front's boundary: nothing may pass it
            record(session, name, error, ctx)
        if name == "eom":
            return _defer(ctx, session)
        return NOREPLY if session is not None and session.quiet & quiet else CONTINUE

    return callback


def record(session: Session | None, name: str, error: BaseException, ctx: Any = None) -> None:
    """Note a fault without ever raising one."""
    try:
        kind = type(error).__name__
        if session is not None:
            why = f"{kind} in {name}"
            session.fault = session.fault or why
            if name in ("connect", "helo"):
                session.lasting_fault = session.lasting_fault or why
        answer = isinstance(error, UnlistedAnswerError | milter.error)
        Worker.desk.tally.error(ErrorKind.ANSWER if answer else ErrorKind.EXCEPTION)
        _log.error(
            "fault",
            stage=name,
            error=kind,
            at=place_of(error),
            ref=session.reference if session is not None else "",
            queue_id=macro(ctx, "i")[0] if ctx is not None else "",
        )
    except BaseException:  # noqa: BLE001 - memory or stack is gone; the answer is TEMPFAIL all the same
        return


def _defer(ctx: Any, session: Session | None) -> int:
    """The 451 at end of message; where even that fails, TEMPFAIL alone, and the text is Postfix's."""
    try:
        if session is not None:
            try:
                return fault(ctx, Worker.desk, session, ErrorKind.GATE, session.fault, macro(ctx, "i")[0])
            finally:
                Worker.desk.left(session)
    except BaseException as error:  # noqa: BLE001 - as above
        record(session, "eom", error)
    return TEMPFAIL
