"""The trainer of split neural networks; see `protocol` for what the two sides say."""
