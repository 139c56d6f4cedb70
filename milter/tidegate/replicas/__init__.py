"""The host's own copies of lists in Redis: read, checked, guarded, kept on disk, handed to the workers.

entries     what may stand on a list: one checker for commands and for the copy
mirror      one list: what is in force, what Redis says, and whether that is to be believed
snapshot    the copy on disk, so that a restart without Redis has it
keeper      the clerk's thread: polls, writes what rules put on lists

Promises: Redis is a transport, no authority. A list that is gone, empty, of another history or shrunk at once stays as
it was, with an alert, until a person confirms; an entry that can't be used costs that entry. Refuses: workers (they get
sealed memory from the supervisor), and waiting in anybody's message.
"""
