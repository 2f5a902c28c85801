"""Losses: spectral distances that reconstruct, and adversarial ones that sharpen."""
