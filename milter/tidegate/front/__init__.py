"""The milter side: gather, ask, reply. The only room that imports pymilter's `milter`.

callbacks   libmilter's events: gather, and at end of message ask
guard       what every callback runs inside, and what it may answer
session     what is known of one connection and its message
answer      verdicts to replies and return codes
suspending  whom rules put on live lists, on its way out
edits       changes to the calls that Postfix executes
released    a held message that comes in again
listener    the listening socket
recorder    judged messages into the replay store
desk        what all sessions of a worker share
"""

from tidegate.front.callbacks import install, run
from tidegate.front.desk import Desk
from tidegate.front.listener import Listener
from tidegate.front.recorder import Recorder
from tidegate.front.suspending import Suspending

__all__ = ["Desk", "Listener", "Recorder", "Suspending", "install", "run"]
