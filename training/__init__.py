"""Training: losses, discriminator, the LightningModule, runs on disk, evaluation and export."""
