"""Text to rules and problems: the policy language, version 1. yaml is imported in this room and nowhere else.

nodes, compose     YAML text as nodes that know where they stand
read, cut          a file as entries, each readable on its own
load               entries to rules, lists and problems; the door of this room
when, comparisons  conditions           actions, replies, edits   what a rule does
rules, keys        whole rules          schedule, dates, scope    when, and for whom
lists, listfiles   one list             listbook                  all lists, and their files as they last were good
book, circles      named conditions     names, elsewhere          what refers to what; what others call it
desk, doubt        what a broken entry becomes: STALE, DEFERRING, SKIPPED
examples           cases in rules       scenarios                 the admin's tests
codes, findings    what can be wrong    render, excerpts          how it is shown
schema             the JSON Schema      texts, suggest            placeholders; did you mean
"""
