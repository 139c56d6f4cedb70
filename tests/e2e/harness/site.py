"""Postfix, Tidegate in front of its services, and a next hop: what an end-to-end test stands on.

    with Site({"10-site.yaml": TEXT}) as site:
        outcome = site.send(login="alice@example.com", subject="one")
        arrival = site.sink.wait_for("one")

Services in order: submission (a login is needed), and a plain one for relaying (no login). With `local=True` Tidegate
also judges what sendmail(1) submits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.e2e.harness.client import Client, Outcome, a_message
from tests.e2e.harness.daemon import Daemon
from tests.e2e.harness.postfix import Postfix, Service
from tests.e2e.harness.sink import Sink

ALICE = "alice@example.com"
BOB = "bob@example.net"  # not one of ours


class Site:
    """All three, started in order and ended in reverse order."""

    def __init__(
        self,
        policies: Mapping[str, str | bytes] | None = None,
        local: bool = False,
        accounts: Mapping[str, str] | None = None,
        postfix: Mapping[str, str] | None = None,
        program: Sequence[str] = (),
        **settings: object,
    ) -> None:
        self.daemon = Daemon(policies, **settings)
        self.daemon.program = list(program)
        self.sink = Sink()
        endpoint = self.daemon.endpoint
        self.postfix = Postfix(
            self.sink.port,
            [Service([endpoint]), Service([endpoint], submission=False)],
            non_smtpd_milters=[endpoint] if local else (),
            settings=postfix,
            accounts=accounts,
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack as stack:
            stack.callback(self.daemon.remove)
            stack.enter_context(self.sink)
            self.daemon.start(wait=False)
            stack.enter_context(self.postfix)
            self.daemon.wait_until_serving()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def submission(self) -> int:
        """The port for people with a login."""
        return self.postfix.services[0].port

    @property
    def relay(self) -> int:
        """The port for machines without one."""
        return self.postfix.services[1].port

    def client(self, login: str = ALICE, address: str = "192.0.2.7") -> Client:
        """A connection to the submission service, logged in (by XCLIENT)."""
        client = Client(self.submission)
        client.xclient(login=login, addr=address)
        return client

    def send(
        self,
        subject: str = "hello",
        login: str = ALICE,
        sender: str | None = None,
        to: str | Sequence[str] = BOB,
        message: bytes | None = None,
        **headers: str,
    ) -> Outcome:
        """One message on a connection of its own. The sender is the login unless given."""
        recipients = [to] if isinstance(to, str) else list(to)
        with self.client(login) as client:
            outcome = client.send(
                login if sender is None else sender, recipients, message or a_message(subject, **headers)
            )
            client.quit()
        return outcome


OpenSite = Callable[..., Site]  # the fixture `open_site`: policies, then Site's other arguments
