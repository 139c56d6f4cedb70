"""Who sends, for all that counts senders (brake, canary, breaker): the login, or the client's network without one."""

from __future__ import annotations

from tidegate.conditions.networks import client_network


def sender_name(login: str, client: str) -> str:
    """One text for one sender: whatever case its login is written in, whichever address of its network it uses."""
    return login.lower() or client_network(client)
