"""What a rule may ask of a message: fields, lists and tests, answered YES, NO or UNKNOWN."""
