"""The `nacre` family: a spectral codec at the frame rate, so its cost is about parameters times frame rate."""
