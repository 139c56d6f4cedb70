"""Match and decide: from a transaction and a policy set to one verdict. Pure: no clock, no I/O, no logging.

index     which rules can concern a message
match     the truth of each of those
bracket   what the message's fate is if some are UNKNOWN
changes   edits settled as algebra
judge     all of it, in order
"""
