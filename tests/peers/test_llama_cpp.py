"""The exported language model of an LTU file continues text-only prompts in llama.cpp as ours does."""

from pathlib import Path

import llama_cpp
import numpy as np
import pytest

import ltu
from ltu.convert import export_llama
from ltu.demo_model import demo_model_path

PROMPTS = ["Is a rooster a type of bird?", "What makes the sound of rain?", "List three tools."]
CLEAR = (
    0.5  # logits: a step whose two best are closer may go either way, with 8-bit activations on both sides
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_llama(demo_model_path(), tmp_path_factory.mktemp("llama") / "llama.gguf").path


def test_greedy_tokens_equal_llama_cpps_up_to_the_first_unclear_step(exported: Path) -> None:
    ours = ltu.load(device="cpu", threads=2)
    peer = llama_cpp.Llama(str(exported), n_ctx=256, n_threads=2, logits_all=False, verbose=False)
    compared = 0
    for prompt in PROMPTS:
        ids = list(ours.prompter.sequence(prompt).ids)
        assert peer.tokenize(ours.prompter.decode(ids[1:]).encode(), add_bos=False, special=False) == ids[1:]
        (tokens,) = ours.generate_ids(ids, sampling=ltu.Sampling(temperature=0), max_new_tokens=24)
        peer.reset()
        peer.eval(ids)
        for token in tokens:
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(peer.ctx, -1), (peer.n_vocab(),))
            second, first = np.sort(logits)[-2:]
            if first - second < CLEAR:
                break
            assert int(logits.argmax()) == token
            compared += 1
            peer.eval([token])
    assert compared > 10
