"""lm-evaluation-harness's own command line, with `--model ltu` known to it."""

from lm_eval.__main__ import cli_evaluate  # type: ignore[import-not-found,unused-ignore]

from ltu.shard.harness import adapter  # noqa: F401  (registers the model)

cli_evaluate()
