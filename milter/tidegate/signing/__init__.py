"""Signatures of policy revisions: Ed25519 (RFC 8032), keys in files, and which of them may sign for which environment.

Promises: what is trusted is said by files of this machine alone. What a revision says of itself, the name of its key
too, makes nobody more lenient: without a signature that counts there is a Doubt, and never an exception. Without
python3-cryptography nothing can be checked, which is a Doubt as well. Refuses: Redis, clocks, deciding whether
signatures are demanded.
"""

from tidegate.signing.keys import (
    PrivateKey,
    PublicKey,
    UnavailableError,
    UnusableKeyError,
    create,
    open_private,
    public_text,
    read_public,
)
from tidegate.signing.trust import Doubt, Trust, Trusted

__all__ = [
    "Doubt",
    "PrivateKey",
    "PublicKey",
    "Trust",
    "Trusted",
    "UnavailableError",
    "UnusableKeyError",
    "create",
    "open_private",
    "public_text",
    "read_public",
]
