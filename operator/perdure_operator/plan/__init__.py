"""Decide: what was seen, and the time, give what to do. No I/O, no clock, no dice."""
