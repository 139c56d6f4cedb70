"""Tidegate: an outbound mail policy milter for Postfix that cannot take your mail down.

The rooms, in the order in which a message meets them:

    model        the words: frozen dataclasses and enums; imports nothing of ours
    patterns     regular expressions in linear time (Hyperscan or Vectorscan through ctypes)
    conditions   what a rule may ask of a message: fields, lists, tests; YES, NO or UNKNOWN
    policy       text to rules and problems (yaml is imported here and nowhere else)
    engine       match and decide: pure, no clock, no I/O
    image        a generation as one file that all workers map
    trial        examples and scenario files, judged without a daemon
    observe      the decision log and the metrics
    alerts       problems over time
    live         which policy set is in force; records; swap
    front        the milter callbacks: gather, ask, reply (milter is imported here only)
    settings     the daemon's settings file, and the last good ones
    channel      what the processes tell each other; control: what people ask the daemon; notify: what systemd is told
    loader       a short-lived child that reads, builds and proves a candidate
    worker       libmilter and one command thread; clerk: polls the sources, serves the metrics
    supervisor   processes, signals, sockets, generations
    cli          the doors for people

Arrows point one way; tests/test_layout.py holds the law.
"""

__version__ = "0.1.0"
