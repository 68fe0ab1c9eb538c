"""The processor's tongue: microjoules in sysfs. Knows zones and raw counters; knows no ring, no total, no watt."""
