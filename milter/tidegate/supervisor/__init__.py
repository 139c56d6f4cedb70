"""The supervisor: settings, lock, socket, signals, generations, and the processes that do the work.

Promises: one thread, which never blocks on a child, a client or a disk of somebody else's; whatever a child does
(dies, hangs, floods) costs that child only. Refuses: running libmilter, parsing policies, talking to Redis.

    boot          from a settings file to a locked daemon with an open socket
    reading       the settings, in a confined child
    daemon        the loop: signals, children, control requests
    crew          the workers and the clerk: forked, watched, replaced, drained
    loads         the loader children: limits, deaths, what they found
    generations   what becomes of a load
    conditions    what is wrong with the daemon itself, and the alerts
    picture       what `tidegate status` shows
    health        live, ready, degraded
    books         since when each entry is in its state (ages), and which rules are exposed (exposure)
    lending       what is in force, for `tidegate explain --live`
    places        the lock, the socket's name, the account
"""
