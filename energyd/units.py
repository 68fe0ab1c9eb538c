"""Conversions between the units that sources speak and those that are exported. Imports nothing."""

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000
UJ_PER_J = 1_000_000
UW_PER_W = 1_000_000
J_PER_WH = 3600
UJ_PER_WH = J_PER_WH * UJ_PER_J
