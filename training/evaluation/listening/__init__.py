"""Listening tests: a MUSHRA page to send to listeners, and what they rated."""
