"""The report of an evaluation: a page, pictures of curves, and tables for other programs."""
