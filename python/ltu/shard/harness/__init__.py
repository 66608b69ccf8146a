r"""SHARD as tasks of lm-evaluation-harness, and our models as one of its models.

    ltu-shard harness S.jsonl --out tasks
    python -m ltu.shard.harness --model ltu --model_args gguf=m.gguf --include_path tasks \
        --tasks shard_hypernym

Other audio models of the harness run on the same tasks (`lm_eval --model hf-audiolm-qwen …`).
"""
