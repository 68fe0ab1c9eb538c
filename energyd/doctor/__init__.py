"""`energyd doctor`: everything that can be wrong on a machine, looked at one after the other, with the command that mends it."""
