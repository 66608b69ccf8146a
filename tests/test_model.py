"""The Python API on tiny random models: answers depend on their query alone, and leave nothing behind."""

import copy
import pickle
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltu
from ltu.audio import Clip
from ltu.errors import Error
from ltu.model import Model, load
from tiny import tiny_gguf

SAMPLED = ltu.Sampling(temperature=0.8, top_k=50, top_p=0.95, repetition_penalty=1.1)
GREEDY = ltu.Sampling(temperature=0)
TYPES = ["f32", "f16", "q8_0", "q4_0", "q4_k"]


def noise(seed: int, seconds: float = 1.0) -> Clip:
    samples = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    return Clip(samples, f"noise {seed}")


CLIPS = [noise(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    sizes = {"width": 256, "feed_forward": 256, "encoder_width": 256, "encoder_feed_forward": 256}
    return {
        outtype: tiny_gguf(folder / f"{outtype}.gguf", outtype=outtype, **sizes) for outtype in TYPES
    }  # sizes that every type's blocks divide


@pytest.fixture(scope="module")
def model(files: dict[str, Path]) -> Model:
    return ltu.load(files["f32"], device="cpu", threads=1)


def queries(model: Model) -> list[ltu.Query]:
    """Prompts that share beginnings, clips that are shared, both formats, all kinds of settings."""
    text = ["Is [AUDIO] a bird?", "Is [AUDIO] a bus?", "Compare [AUDIO] and [AUDIO].", "What is [AUDIO]"]
    result = []
    for number in range(16):
        prompt = text[number % len(text)]
        given = [CLIPS[(number + place) % len(CLIPS)] for place in range(prompt.count("[AUDIO]"))]
        if number % 5 == 4:
            sequence = model.prompter.sequence(prompt.replace("[AUDIO]", "it"), given, "prepended")
        else:
            sequence = model.prompter.sequence(prompt, given)
        sampling = GREEDY if number % 7 == 3 else SAMPLED
        repeats, tokens = 1 + number % 4, 3 + number % 11
        result.append(ltu.Query(sequence, repeats, number // 3, sampling, tokens, tag=number))
    return result


def rows(answers: Iterator[ltu.Answer]) -> dict[tuple[int, int], tuple[tuple[int, ...], float, str]]:
    return {(a.tag, a.repeat): (a.token_ids, a.logprob, a.stop) for a in answers}


@pytest.mark.parametrize("outtype", TYPES)
def test_answers_are_the_same_bits_alone_and_together_in_any_order(
    files: dict[str, Path], outtype: str
) -> None:
    alone = ltu.load(files[outtype], device="cpu", threads=1)
    asked = queries(alone)
    expected = {key: row for query in asked for key, row in rows(alone.answers([query])).items()}
    assert len(expected) == sum(query.repeats for query in asked)
    for threads in (1, 2, 4):
        together = ltu.load(files[outtype], device="cpu", threads=threads)
        shuffled = random.Random(threads).sample(asked, len(asked))
        assert rows(together.answers(shuffled)) == expected


def test_repeats_are_the_same_alone_and_beside_more_repeats(model: Model) -> None:
    sequence = model.prompter.sequence("Is [AUDIO] a bird?", CLIPS[:1])
    few = rows(model.answers([ltu.Query(sequence, 2, 5, SAMPLED, 12, tag=0)]))
    many = rows(model.answers([ltu.Query(sequence, 9, 5, SAMPLED, 12, tag=0)]))
    assert few.items() <= many.items()


def test_seeds_repeats_clips_and_prompts_draw_apart(model: Model) -> None:
    def tokens(prompt: str = "Is [AUDIO] a bird?", clip: int = 0, seed: int = 0) -> list[tuple[int, ...]]:
        sampling = ltu.Sampling(temperature=5)
        answers = model.generate(prompt, CLIPS[clip], 3, seed, sampling, max_new_tokens=12)
        return [answer.token_ids for answer in answers]

    drawn = tokens() + tokens(seed=1) + tokens(clip=1) + tokens("Is [AUDIO] a bus?")
    assert len(set(drawn)) == 12
    assert tokens() == drawn[:3]


def test_logprob_is_the_sum_under_the_distribution_drawn_from(model: Model) -> None:
    prompt = model.prompter.sequence("Is [AUDIO] a bird?", CLIPS[:1])
    [answer] = model.answers([ltu.Query(prompt, 1, 3, SAMPLED, 10)])
    clips = iter(prompt.clips)
    items = [next(clips) if token < 0 else token for token in prompt.ids]
    eos = model.info["tokenizer.ggml.eos_token_id"]
    drawn = [*answer.token_ids, *([eos] if answer.stop == "eos" else [])]
    expected, history = 0.0, list(prompt.ids)
    for token in drawn:
        probabilities = SAMPLED.probabilities(model.logits(items)[-1], history)
        expected += float(np.log(probabilities[token]))
        items.append(token)
        history.append(token)
    assert answer.logprob == pytest.approx(expected, abs=1e-4)


def test_greedy_answers_follow_the_largest_logit(model: Model) -> None:
    items: list[int | Clip] = [1, CLIPS[0], 5, 6]
    [tokens] = model.generate_ids(items, sampling=GREEDY, max_new_tokens=8)
    for token in tokens:
        assert token == int(model.logits(items)[-1].argmax())
        items.append(token)


def test_logits_cover_audio_positions_too(model: Model) -> None:
    logits = model.logits([1, CLIPS[0], 5, CLIPS[1]])
    assert logits.shape == (2 + 2 * 32, model.info["llama.vocab_size"])
    assert logits.dtype == np.float32


def test_encode_gives_32_embeddings_of_the_models_width(model: Model) -> None:
    embeddings = model.encode(CLIPS[0])
    assert embeddings.shape == (32, model.width)
    assert np.array_equal(embeddings, model.encode(noise(0)))
    assert not np.array_equal(embeddings, model.encode(CLIPS[1]))


def test_generate_takes_clips_paths_and_arrays(model: Model, tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "noise.wav"
    soundfile.write(path, CLIPS[0].waveform, 16_000, subtype="FLOAT")
    waveform = CLIPS[0].waveform
    more = (path.read_bytes(), (waveform, 16_000), {"array": waveform, "sampling_rate": 16_000})
    answers = [
        model.generate("Is [AUDIO] a bird?", audio, max_new_tokens=6)
        for audio in (CLIPS[0], str(path), path, CLIPS[0].waveform, [CLIPS[0]], [path], *more)
    ]
    assert all(answer == answers[0] for answer in answers)


def test_streamed_pieces_make_up_the_answer(model: Model) -> None:
    most = 0
    for seed in range(10):
        options: dict[str, Any] = {"seed": seed, "sampling": SAMPLED, "max_new_tokens": 30}
        [answer] = model.generate("Is [AUDIO] a bird?", CLIPS[0], **options)
        pieces = list(model.generate("Is [AUDIO] a bird?", CLIPS[0], **options, stream=True))
        assert "".join(pieces) == answer.text
        most = max(most, len(pieces))
    assert most > 1


def test_queries_are_read_only_as_the_engine_has_room(model: Model) -> None:
    asked = 0

    def endless() -> Iterator[ltu.Query]:
        nonlocal asked
        while True:
            asked += 1
            sequence = model.prompter.sequence(f"Is [AUDIO] number {asked}?", CLIPS[:1])
            yield ltu.Query(sequence, max_new_tokens=2, tag=asked)

    first = list(islice(model.answers(endless()), 5))
    assert len(first) == 5
    assert asked < 1000
    assert model._engine.idle()  # closing the iterator cancelled the rest


def test_a_caller_that_stops_early_leaves_no_trace(model: Model) -> None:
    before = rows(model.answers(queries(model)))
    for stop_after in (1, 2, 7):
        for _ in islice(model.answers(queries(model)), stop_after):
            pass
        assert model._engine.idle()
    with pytest.raises(KeyboardInterrupt):
        interrupt(model)
    assert model._engine.idle()
    assert rows(model.answers(queries(model))) == before


def interrupt(model: Model) -> None:
    for _ in model.answers(queries(model)):
        raise KeyboardInterrupt


def test_a_model_can_be_asked_between_the_answers_of_a_sweep(model: Model) -> None:
    expected = rows(model.answers(queries(model)))
    found = {}
    for answer in model.answers(queries(model)):
        found[answer.tag, answer.repeat] = (answer.token_ids, answer.logprob, answer.stop)
        model.generate("Is [AUDIO] a cat?", CLIPS[2], max_new_tokens=3)
    assert found == expected


def test_a_bad_query_ends_the_sweep_and_not_the_model(model: Model) -> None:
    good = queries(model)
    context = model.info["llama.context_length"]
    bad = ltu.Query(ltu.PromptSequence((5,) * (context + 1)))
    with pytest.raises(ltu.PromptError, match=str(context)):
        list(model.answers([*good[:3], bad, *good[3:]]))
    assert model._engine.idle()
    assert rows(model.answers(good))


def test_the_files_settings_are_the_defaults(model: Model) -> None:
    sequence = model.prompter.sequence("Is [AUDIO] a bird?", CLIPS[:1])
    default = rows(model.answers([ltu.Query(sequence, 2, tag=0)]))
    explicit = ltu.Query(sequence, 2, 0, model.sampling, model.max_new_tokens, tag=0)
    assert rows(model.answers([explicit])) == default


def test_embeddings_are_kept_within_their_bytes(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ltu.load(files["f32"], threads=1)
    bytes_of_one = model.encode(CLIPS[0]).nbytes
    monkeypatch.setattr("ltu.embeddings.MEMORY_BYTES", 2 * bytes_of_one)
    for seed in (*range(5), 3, 4):
        model.encode(noise(seed))
    assert model.description()["clips"] == 5
    model.encode(noise(2))
    assert model.description()["clips"] == 6


def test_embeddings_kept_in_a_folder_are_read_and_not_computed_again(
    files: dict[str, Path], tmp_path: Path
) -> None:
    first = ltu.load(files["f32"], threads=1, embeddings=tmp_path)
    computed = [first.encode(clip) for clip in CLIPS]
    assert np.abs(computed[0] - ltu.load(files["f32"], threads=1).encode(CLIPS[0])).max() < 1e-2
    again = ltu.load(files["f32"], threads=1, embeddings=tmp_path)
    for clip, embeddings in zip(CLIPS, computed, strict=True):
        np.testing.assert_array_equal(again.encode(clip), embeddings)
    assert again.description()["clips"] == 0
    another = ltu.load(files["q8_0"], threads=1, embeddings=tmp_path)  # another encoder
    another.encode(CLIPS[0])
    assert another.description()["clips"] == 1
    for file in tmp_path.rglob("*.npy"):
        file.write_bytes(b"")
    anew = ltu.load(files["f32"], threads=1, embeddings=tmp_path)
    np.testing.assert_array_equal(anew.encode(CLIPS[0]), computed[0])
    assert anew.description()["clips"] == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [({"repeats": 0}, "repeats"), ({"max_new_tokens": 0}, "max_new_tokens"), ({"seed": -1}, "seed")],
)
def test_impossible_queries_are_refused_by_name(model: Model, change: dict[str, int], word: str) -> None:
    with pytest.raises(ltu.Error, match=word):
        model.generate("Is [AUDIO] a bird?", CLIPS[0], **change)


def test_streams_of_several_answers_are_refused(model: Model) -> None:
    with pytest.raises(ltu.Error, match="repeats=1"):
        model.generate("Is [AUDIO] a bird?", CLIPS[0], repeats=2, stream=True)


def test_a_model_that_is_sent_to_another_process_says_what_to_do(model: Model) -> None:
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(Error, match="can't be pickled or copied to another process; load it there"):
            way(model)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": ""}, "the path of the model is empty"),
        ({"path": "\ud83d.gguf"}, "holds half a character"),
        ({"path": "https://example.org/m.gguf"}, "is an address on the web"),
        ({"path": "m.gguf", "tree": "no"}, "tree is 'no'; give True or False"),
        ({"path": "m.gguf", "batch_invariant": 1}, "batch_invariant is 1; give True or False"),
    ],
)
def test_what_load_cannot_take_is_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Error, match=message):
        load(**arguments)
