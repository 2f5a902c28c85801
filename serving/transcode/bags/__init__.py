"""BagIt bags (RFC 8493): a transcoded folder made into one, in place, and a bag read as a source, with distrust."""
