"""Retraining: new audio becomes a better model in production, or doesn't, with the reason."""
