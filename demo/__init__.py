"""`make demo`: the whole way once, from real clips to a served codec, in minutes."""
