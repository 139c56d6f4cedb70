"""`python3 -m tidegate` is the same as `tidegate`."""

from tidegate.cli import main

main(prog_name="tidegate")
