"""Speed, memory and quality beside named peers, as ratios from one run."""
