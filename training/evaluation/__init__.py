"""Evaluation: codecs side by side on the same clips, by metrics, bytes and time; reports, listening tests, the gate."""
