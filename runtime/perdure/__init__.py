"""Durable execution for Python: orchestrations that outlive the processes that run them."""
