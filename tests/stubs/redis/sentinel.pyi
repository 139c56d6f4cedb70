from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError

class MasterNotFoundError(ConnectionError): ...

class Sentinel:
    sentinels: list[Redis]
    def __init__(
        self, sentinels: list[tuple[str, int]], sentinel_kwargs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None: ...
    def master_for(self, service_name: str) -> Redis: ...
    def discover_master(self, service_name: str) -> tuple[str, int]: ...
