"""The codecs that are compared, one adapter a file."""
