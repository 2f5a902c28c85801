"""The `seanet` family: the convolutional encoder and decoder of SoundStream and EnCodec, at the rate of the samples."""
