"""The kinds as Kubernetes sees them: models, and the schemas that are generated from them."""
