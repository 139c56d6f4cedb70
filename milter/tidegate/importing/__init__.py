"""Rules of other filters, as policies of ours: equivalent where that can be, with a comment where the meaning differs.

    words       what an import comes to: lists, rules, remarks, and what could not be translated
    writing     that as a policy file
    firstmatch  rules of which the first that matches decides, as rules of which the strictest does
    access      Postfix access tables (access(5), regexp_table(5), cidr_table(5)); actions: what they do
    postfwd     postfwd's rulesets
    rspamd      rspamd's ratelimit module; ucl: the form of its files
    policyd     policyd-rate-limit

Promises: what can't be said in our language is told with its line and why, and nothing is left out in silence; what
is written is valid. Refuses: files and what is on this machine (cli/importing.py reads and checks).
"""

from tidegate.importing.words import Imported, Untranslated
from tidegate.importing.writing import text_of

__all__ = ["Imported", "Untranslated", "text_of"]
