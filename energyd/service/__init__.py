"""What makes a program a good daemon: clock, deadlines, signals, readiness, logs. Knows nothing about energy."""
