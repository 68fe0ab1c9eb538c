"""Simulators that the tests, the benches and `energyd run --simulate` stand on: a house and its meter, and a powercap tree.

Each is a program of its own that speaks through what the real thing speaks through, a serial line or a file tree, and writes
a truth file of what it emitted. Nothing here shares code with the decoders or the aggregator: what is to be proven must not
be its own witness.
"""
