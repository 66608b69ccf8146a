"""SHARD: the Synonym and Hypernym Audio Reasoning Dataset as a benchmark: build, run, report."""
