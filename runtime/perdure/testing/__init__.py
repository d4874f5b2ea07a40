"""What a test of an orchestration, an activity or a provider needs."""
