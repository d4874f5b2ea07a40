"""Measuring: the workloads of `perdure bench`, and what they cost.

A workload runs as a user's would: a client here, `perdure replayer` and `perdure executor` as
processes of their own, one Postgres for all, a fresh database for each measurement. What a figure
means, and how each is taken, is told to readers in docs/benchmarks.md.
"""
