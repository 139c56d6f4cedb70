"""What a link to Redis reads of the settings, in one line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreWords:
    """The settings that store/connection.py asks for."""

    redis: str
    redis_user: str = ""
    redis_password_file: str = ""
    redis_ca_file: str = ""
    redis_cert_file: str = ""
    redis_key_file: str = ""
    redis_sentinel_user: str = ""
    redis_sentinel_password_file: str = ""
    environment: str = "prod"
