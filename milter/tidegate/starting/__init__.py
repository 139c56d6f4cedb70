"""A site's first policy: from a handful of answers to policy files that are valid, commented, and all in shadow.

    answers   what has to be known of a site, and what is wrong with an answer
    texts     the files, as text
    logins    Postfix's sender_login_maps, turned round

Promises: every rule is in shadow, so that nothing changes for anybody until a person says so; the same answers give the
same bytes. Refuses: files, questions, Postfix (cli/init.py asks and writes).
"""

from tidegate.starting.answers import Answers, Defects, answers_from
from tidegate.starting.logins import Turned, turned
from tidegate.starting.texts import files_of

__all__ = ["Answers", "Defects", "Turned", "answers_from", "files_of", "turned"]
