"""The ledger: what the meters' registers showed, kept for ever, and the kilowatt-hours and euros that follow from it."""
