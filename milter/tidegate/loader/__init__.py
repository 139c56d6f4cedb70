"""The loader: a short-lived child that reads, builds and proves a candidate, and may die of it.

Promises: whatever the policy directory holds, the supervisor gets a report or the name of what killed the child.
Refuses: to run in the supervisor's own process, and to touch anything but the record of accepted entries.

    confine   a forked child with limits on memory, CPU and time, its progress, and its death
    sources   the policy directory as bytes and digests
    report    what a load came to, as JSON between the child and the supervisor
    proof     the examples of what changed
    child     the load itself
"""
