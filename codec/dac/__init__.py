"""The `dac` family: the Descript Audio Codec, a deep convolutional codec with Snake activations."""
