"""Discriminators, one noun per file, and the judge that a run's configuration puts together of them."""
