"""Evaluation: codecs side by side on the same clips, by metrics, actual bytes and time; reports, listening tests, gates."""
