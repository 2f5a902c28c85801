"""Serving: the HTTP service, the Bento, and encoding and decoding of files and folders without a server."""
