"""The stores behind us: Redis, and SQLite. The only room that imports `redis`.

Promises: what a store can't do, says wrong or says too late is a StoreError with a reason for people (never a secret in
it), within a time that the caller set; each reply is checked before it is believed. Refuses: deciding what an outage
means for a message or for the policy: Redis is a transport, no authority.

This module imports nothing, so that the settings can read an address (address.py) without the library.
"""
