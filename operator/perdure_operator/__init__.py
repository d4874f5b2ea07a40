"""The operator: reconciles Orchestrations, events, schedules and pools in a cluster."""
