"""The neural codec: encoder, residual vector quantizer, decoder, bitstream container and package directory."""
