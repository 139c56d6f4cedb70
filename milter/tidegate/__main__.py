"""`python3 -m tidegate`: the same door as the command `tidegate`."""

from tidegate.cli import door

door()
