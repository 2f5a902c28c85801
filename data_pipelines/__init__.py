"""Audio files to checked, split and reproducible shards, and shards to an exactly resumable stream of batches."""
