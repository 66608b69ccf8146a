"""SHARD: the Synonym and Hypernym Audio Reasoning Dataset as a benchmark: build, run, report."""

HEADLINE = "careful"  # the reading of answers that the first figures are of
