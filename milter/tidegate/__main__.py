"""`python3 -m tidegate`: the same door as the command `tidegate`."""

from tidegate.cli import main

main(prog_name="tidegate")
