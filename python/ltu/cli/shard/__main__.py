"""`python -m ltu.cli.shard`."""

from ltu.cli.shard import main

main()
