"""What stands beside the weights in a folder of transformers: the tokenizer, and how answers are drawn."""

from collections.abc import Sequence
from dataclasses import asdict

from tokenizers import Tokenizer
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ltu.sampling import Sampling


def wrapped_tokenizer(json: str, bos_id: int | None, eos_id: int) -> PreTrainedTokenizerFast:
    """The converter's tokenizer, which knows [AUDIO]."""
    tokenizer = Tokenizer.from_str(json)
    bos, eos = (None if id is None else tokenizer.id_to_token(id) for id in (bos_id, eos_id))
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, bos_token=bos, eos_token=eos
    )


def generation(
    sampling: Sampling, max_new_tokens: int, bos_id: int | None, end_ids: Sequence[int]
) -> GenerationConfig:
    """`generation_config.json`. Greedy sampling has no temperature there."""
    settings = asdict(sampling)
    if sampling.greedy:
        settings = {"repetition_penalty": sampling.repetition_penalty}
    return GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=not sampling.greedy,
        max_new_tokens=max_new_tokens,
        bos_token_id=bos_id,
        eos_token_id=list(end_ids),
        pad_token_id=end_ids[0],
        **settings,
    )
