"""A milter that stands behind us and signs: it adds `X-Signed: yes` at end of message. A process of its own.

    python signer.py inet:PORT@127.0.0.1

It knows nothing of the house: pymilter's own class, as most milters are written.
"""

from __future__ import annotations

import sys

import Milter


class Signer(Milter.Base):  # type: ignore[misc]
    """One connection."""

    def eom(self) -> int:
        """Sign."""
        self.addheader("X-Signed", "yes")
        return int(Milter.CONTINUE)


if __name__ == "__main__":
    Milter.factory = Signer
    Milter.set_flags(Milter.ADDHDRS)
    Milter.runmilter("signer", sys.argv[1], 30)
