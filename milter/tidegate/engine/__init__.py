"""Match and decide: from a transaction and a policy set to one verdict. Pure: no clock, no I/O, no logging.

index         which rules can concern a message
schedule      `active` and `sample`
easing        what a restraint leaves of a rule
match         how one rule stands to one message
parts         what a result is computed from
bracket       what becomes of a message if some of its rules are UNKNOWN
changes       edits settled as algebra
placeholders  what `{placeholders}` stand for in one message
reply         the one sanitiser of replies and header values
local         the last step for what sendmail(1) submits
explain       every rule with its evidence
exposure      whom a rule would have concerned that is skipped
judge         the door: all of it, in order
"""
