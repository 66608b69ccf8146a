"""lm-evaluation-harness's own command line, with `--model ltu` known to it."""

import sys

from ltu.errors import Error, needs

try:
    with needs("harness"):
        from lm_eval.__main__ import cli_evaluate  # type: ignore[import-not-found,unused-ignore]
except Error as error:
    sys.exit(f"error: {error}")

from ltu.shard.harness import adapter  # noqa: F401  (registers the model)

cli_evaluate()
