"""The demo's stages by the clock: encoder, lessons and figures on tiny sizes, in seconds."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import typer
from demo_sounds import small_teacher, tone
from training_run import TINY_ENCODER

from ltu.audio import load_audio
from ltu.training.config import Config, Source, read_config
from ltu.training.demo import __main__ as command
from ltu.training.demo import bank, card, clock, endless, evaluate, lessons, questions, quick, stages
from ltu.training.demo.fresh import Maker
from ltu.training.demo.sounds import Sound
from ltu.training.demo.terms import Term
from ltu.training.demo.yamnet import EMBEDDING, SCORES
from ltu.training.model.base import load_base
from ltu.training.model.encoder import AudioEncoder
from ltu.training.model.ltu import LTU, LoraSizes

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
DEMO = Path(stages.__file__).parent.parent / "configs" / "demo.toml"
TERMS = [
    Term("dog", "name", True, frozenset({"Dog"}), frozenset({"Rain", "Silence"})),
    Term("rain", "name", True, frozenset({"Rain"}), frozenset({"Dog", "Silence"})),
    Term("animal", "hypernym", True, frozenset({"Dog"}), frozenset({"Rain"})),
]
SMALL = endless.Settings(
    seconds=36, whole=0.15, batch=8, kept=32, learning_rate=1e-2, probe_batches=2, probe_steps=50, report=1
)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second each time it is looked at."""
    seconds = iter(range(1_000_000))
    # In this module alone: other threads of the tests, servers among them, go by the process's clock.
    monkeypatch.setattr(clock, "monotonic", lambda: float(next(seconds)))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sounds of little more than a second."""
    monkeypatch.setattr(endless, "SHORT_FRAMES", 112)
    monkeypatch.setattr(endless, "LONG_FRAMES", 160)


def maker() -> Maker:
    return Maker([tone(300), tone(1200), tone(4200)], [0, 1, 2], CPU, 0)


def rates(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """The learning rates of each step of AdamW, by group, from now on."""
    seen: list[list[float]] = []
    real = torch.optim.AdamW.step

    def step(self: torch.optim.AdamW, *arguments: Any, **options: Any) -> Any:
        seen.append([group["lr"] for group in self.param_groups])
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    return seen


def test_the_learning_rate_follows_the_clock() -> None:
    assert clock.rate(0.0, 0.03) == pytest.approx(0.01)
    assert clock.rate(0.015, 0.03) == pytest.approx(0.51, abs=0.01)
    for done in (0.1, 0.25, 0.5, 0.9):
        assert clock.rate(done, 0.03) == pytest.approx(np.cos(np.pi * done / 2) ** 2)
    assert clock.rate(1.0, 0.03) == clock.rate(1.7, 0.03) == pytest.approx(0)


def test_an_encoder_learns_until_the_time_is_over(
    ticks: None, short: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = endless.Teacher(small_teacher(), CPU)
    assert teacher.try_half(maker().batch(4, 112).waveforms) == 0  # no card
    probe = endless.fit_probe(maker(), teacher, SMALL)
    capsys.readouterr()
    seen = rates(monkeypatch)
    learnt = endless.learn(maker(), teacher, probe, TINY_ENCODER, SMALL)
    lines = capsys.readouterr().out.splitlines()
    assert learnt.steps == len(lines) == len(seen)
    assert 15 <= learnt.steps <= 18  # looked at twice a step
    losses = [sum(map(float, re.findall(r"[a-z]+ (\d+\.\d+)", line.partition(": ")[2]))) for line in lines]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    expected = [SMALL.learning_rate * clock.rate((2 * step + 1) / 36, SMALL.warm_up) for step in range(15)]
    np.testing.assert_allclose([a for a, _ in seen[:15]], expected, rtol=1e-6)
    assert all(a == b for a, b in seen)
    assert not any(p.requires_grad for p in learnt.student.parameters())
    right = endless.named(learnt, teacher, maker(), torch.arange(3))
    assert right["probe on the teacher's embedding"] == 1  # three tones apart


def test_a_probe_names_what_is_mixed(short: None) -> None:
    """Its classes of single sounds and of two of them, beside the shares that these were made with."""
    teacher = endless.Teacher(small_teacher(), CPU)
    probe = endless.fit_probe(maker(), teacher, replace(SMALL, probe_batches=5, batch=16, probe_steps=200))
    made = maker().batch(40, 112)
    heard = teacher.hear(made)
    error = (probe.classes(heard.embedding) - made.shares).abs().sum(1).mean()
    by_chance = (made.shares.mean(0) - made.shares).abs().sum(1).mean()
    assert error < 0.6 * by_chance
    standard = probe.standard(heard.moments.flatten(0, 1))
    assert standard.isfinite().all()


def test_a_column_learns_what_a_bank_would_teach_it() -> None:
    """Between the two moments nearest to a column's middle, as bank.py interpolates."""
    torch.manual_seed(0)
    frames = [bank.FRAMES, 200, 96, 40]
    embeddings = torch.rand(4, bank.MOMENTS, EMBEDDING).half()
    count = torch.tensor([max(1, 1 + (n - 96) // 48) for n in frames])
    heard = endless.Heard(torch.zeros(4, SCORES), embeddings[:, 0].float(), embeddings.float(), count)
    found = endless._at_columns(heard, TINY_ENCODER)
    nothing = np.zeros(4, np.float32)
    read = bank.Bank([], np.array(frames), np.zeros((4, 2), np.int64), nothing, nothing, embeddings.numpy())
    columns = TINY_ENCODER.grid[1]
    middles = np.arange(columns) * TINY_ENCODER.patch + TINY_ENCODER.patch // 2
    for entry in range(4):
        np.testing.assert_allclose(found[entry].numpy(), read.embedding(entry, middles), atol=1e-5)


def test_patches_are_drawn_from_the_sound_and_some_from_the_padding() -> None:
    torch.manual_seed(0)
    features = torch.zeros(3, 1024, 128)
    features[2, :512, 64:] = 8.0  # loud above
    keep = endless.draw_patches(features, torch.tensor([512, 100, 512]), 60, TINY_ENCODER)
    assert keep.shape == (3, 60)
    assert all(len(set(row)) == 60 for row in keep.tolist())
    columns, loud = keep % 64, keep // 64 >= 4
    assert 0.6 <= (columns[0] < 32).float().mean() <= 1
    assert 0.6 <= (columns[1] < 7).float().mean() <= 56 / 60  # there are no more
    assert loud[2][columns[2] < 32].float().mean() > 0.65 > loud[0].float().mean()


def test_hidden_bands_are_few_and_neighbours() -> None:
    torch.manual_seed(0)
    log = torch.randn(40, 20, 128)
    plain, hidden = (
        endless.normalised(log, torch.full((40,), 20)),
        endless._hidden(log, torch.full((40,), 20)),
    )
    changed = (plain != hidden)[:, :20].all(1)  # [entries, bands]
    widths = changed.sum(1)
    assert 10 <= int((widths > 0).sum()) <= 30
    assert widths.max() <= endless.MOST_HIDDEN
    assert (changed.int().diff(dim=1).abs().sum(1) <= 2).all()


def clips() -> list[lessons.Class]:
    return [
        lessons.Class(f"{n}", label, ()) for n, label in enumerate(("Dog", "Rain", "Dog", "Rain", "Silence"))
    ]


def small_lessons(base_folder: Path, settings: lessons.Settings) -> tuple[lessons.Lessons, LTU]:
    base = load_base(base_folder)
    config = read_config(DEMO)
    round = stages.Round(1, 1e-2, first_words=True)
    made = lessons.Lessons(
        clips(), round, settings, base.tokenizer_json, config.base.template, base.bos_id, base.eos_id
    )
    torch.manual_seed(0)
    return made, LTU(base.model, TINY_ENCODER, LoraSizes(r=2, alpha=4))


@pytest.fixture
def few_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (questions, evaluate, card, quick):
        monkeypatch.setattr(module, "terms", lambda about: TERMS)
    monkeypatch.setattr(stages, "PAIRS", 2)
    monkeypatch.setattr(stages, "SAME", 1)
    monkeypatch.setattr(evaluate, "RANDOM_NAMES", 1)


def test_lessons_ask_about_views_of_the_clip(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions about one clip: rows of no other clip's views, but of several of its own."""
    item = questions.Item("2", "Is it a dog?", "Yes.", "dog", False)
    monkeypatch.setattr(lessons, "pool", lambda *_: [item] * 12)
    made, _ = small_lessons(base_folder, lessons.Settings(views=4, positions=200, shared=2, pools=1))
    batches = iter(made)
    rows = [int(row) for _ in range(12) for row in next(batches)["encoded"]]
    assert set(rows) <= {8, 9, 10, 11}
    assert len(set(rows)) > 1


def test_lessons_are_learnt_until_the_time_is_over(
    ticks: None,
    few_terms: None,
    base_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = lessons.Settings(seconds=80, first_words=1.0, views=2, positions=300, workers=0, report=1)
    made, model = small_lessons(base_folder, settings)
    plan = lessons.Plan(stages.Round(1, 1e-2, first_words=True), 80.0)
    views = torch.randn(5, 32, TINY_ENCODER.width).repeat_interleave(2, 0)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    seen = rates(monkeypatch)
    steps = lessons.teach(model, views, iter(made), plan, settings, CPU)
    losses = [float(line.rpartition(" ")[2]) for line in capsys.readouterr().out.splitlines()]
    assert steps == len(losses) == len(seen)
    assert 35 <= steps <= 40
    assert max(losses[-5:]) < min(losses[:3]) - 0.05  # a base of random weights learns little
    parts = settings.learning_rate_of_projector, 1e-2
    expected = [[lr * clock.rate((2 * n + 1) / 80, settings.warm_up) for lr in parts] for n in range(30)]
    np.testing.assert_allclose(seen[:30], expected, rtol=1e-6)
    changed = {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])}
    assert any("lora" in name for name in changed)
    assert not any("audio_encoder" in name or name.endswith("embed_tokens.weight") for name in changed)


def recordings(folder: Path) -> list[Sound]:
    found = []
    for number, label in enumerate(("Dog", "Rain", "Silence", "Dog", "Rain", "Silence")):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.3 * tone(200 * (number + 1)), 16_000)
        found.append(
            Sound(path.name, label, load_audio(path), esc10="", licence="CC0 1.0", author="", url="")
        )
    return found


@pytest.fixture
def tiny_config(tmp_path: Path, base_folder: Path) -> Config:
    config = read_config(DEMO)
    return replace(
        config,
        base=replace(config.base, path=base_folder, source=Source("tiny", "MIT")),
        encoder=TINY_ENCODER,
        lora=LoraSizes(r=2, alpha=4),
    )


def test_stages_end_in_time_and_leave_their_files(
    short: None, few_terms: None, tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "load_yamnet", lambda work: small_teacher())
    heard = recordings(tmp_path)
    outputs = [tmp_path / "1", tmp_path / "2"]
    settings = replace(SMALL, seconds=1.0, probe_seconds=0.5)
    began = time.monotonic()
    quick.learn_sounds(heard, heard[:2], tiny_config, tmp_path, settings, CPU)
    assert time.monotonic() - began < 30
    state = torch.load(tmp_path / "encoder.pt", weights_only=True)
    AudioEncoder(TINY_ENCODER).load_state_dict(state)
    assert (tmp_path / "student.safetensors").is_file()
    words = quick.words_of(heard, tmp_path)
    of_language = lessons.Settings(seconds=2.0, views=2, positions=300, workers=0)
    began = time.monotonic()
    quick.learn_language(heard, words, tiny_config, tmp_path, outputs, of_language, CPU)
    assert 2 <= time.monotonic() - began < 40
    description = json.loads((outputs[1] / "ltu.json").read_text())
    assert sorted(description["train_clips"]) == sorted({r.clip.hash for r in heard})
    assert description["train_terms"] == ["animal", "dog", "rain"]
    assert (outputs[0] / "ltu.safetensors").read_bytes() != (outputs[1] / "ltu.safetensors").read_bytes()
    quick.report(outputs[1], heard, tiny_config, tmp_path / "unheard.md", CPU)
    assert "| names of the classes |" in (tmp_path / "unheard.md").read_text()
    figures = json.loads((tmp_path / card.FIGURES).read_text())
    assert figures["encoder"]["batch"] == 8
    assert figures["unheard"]["recordings"] == 2
    assert len(figures["language_steps"]) == 2
    recipe = card._fresh_recipe(tmp_path)
    assert f"for 1 seconds, which were {figures['encoder_steps']} steps of 8" in recipe
    assert f"{figures['language_steps'][1]} steps of about 300 positions, whole answers" in recipe
    assert "{" not in recipe


def test_a_clips_first_view_is_what_the_encoder_makes_of_its_features(
    tmp_path: Path, base_folder: Path
) -> None:
    torch.manual_seed(0)
    model = LTU(load_base(base_folder).model, TINY_ENCODER, LoraSizes(r=2, alpha=4))
    heard = recordings(tmp_path)
    views = quick.encode(heard, model, lessons.Settings(views=3), CPU).view(6, 3, 32, -1)
    features = torch.from_numpy(np.stack([recording.clip.features() for recording in heard]))
    with torch.no_grad():
        expected = model.audio_encoder(features)
    torch.testing.assert_close(views[:, 0], expected, atol=0.05, rtol=0.05)  # bfloat16 where it is quick
    apart = (views[:, 1] - views[:, 0]).abs().amax((1, 2))
    assert apart.min() > 4 * (views[:, 0] - expected).abs().max()


def test_words_are_measured_once_for_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = recordings(tmp_path)
    scale = quick.Scale([recording.clip for recording in heard])
    expected = {recording.file: list(scale.words(recording.clip)) for recording in heard}
    assert quick.words_of(heard, tmp_path) == expected
    fewer = quick.words_of(heard[:3], tmp_path)
    scale = quick.Scale([recording.clip for recording in heard[:3]])
    assert fewer == {recording.file: list(scale.words(recording.clip)) for recording in heard[:3]}
    monkeypatch.setattr(quick, "Scale", None)  # measures no more
    assert quick.words_of(heard[:3], tmp_path) == fewer


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Folds 1 to 4 with a free recording each and one that is not."""
    folder = tmp_path / "sounds" / "one"
    folder.mkdir(parents=True)
    lines = ["file,fold,label,source,take,audioset,esc10,licence,author,title,url"]
    for fold in range(1, 5):
        for licence in ("CC BY 3.0", "CC BY-NC 3.0"):
            file = f"{fold}-{'free' if licence == 'CC BY 3.0' else 'not'}.wav"
            soundfile.write(folder / file, tone(100 * fold, 0.2), 16_000)
            lines.append(f"{file},{fold},Dog,1,A,Dog,,{licence},someone,a dog,http://x/1/")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder.parent


def test_nothing_is_trained_on_that_its_licence_or_fold_forbids(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, list[str]] = {}

    def learn_sounds(heard: list[Sound], unheard: list[Sound], *_: object) -> None:
        given["heard"], given["unheard"] = ([r.file for r in of] for of in (heard, unheard))

    monkeypatch.setattr(quick, "learn_sounds", learn_sounds)
    work = tmp_path / "work"
    options: dict[str, Any] = {"sounds": collection, "output": tmp_path, "work": work, "until": "encoder"}
    command.main(**options, folds="1,2", fresh=True)
    assert given["heard"] == ["one/1-free.wav", "one/2-free.wav"]
    assert given["unheard"] == ["one/1-not.wav", "one/2-not.wav"]
    with pytest.raises(typer.BadParameter, match="goes with --bank"):
        command.main(**options, fresh=True, start=tmp_path / "student.safetensors")
    with pytest.raises(typer.BadParameter, match="'encode' is none of prepared, encoder, language"):
        command.main(**options | {"until": "encode"})
    (work / "encoder.pt").write_bytes(b"")
    with pytest.raises(typer.BadParameter, match="trained the other way"):
        command.main(**options, fresh=True)


def test_what_a_machine_without_network_needs_is_prepared(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[Path] = []
    monkeypatch.setattr(command, "load_yamnet", fetched.append)
    work = tmp_path / "work"

    def speak(path: Path, number: int) -> None:
        soundfile.write(path, tone(200 + number), 16_000)

    monkeypatch.setattr("ltu.training.demo.made.speak", speak)
    options: dict[str, Any] = {"sounds": collection, "output": tmp_path, "work": work}
    command.main(**options, until="prepared")
    assert fetched == [work]
    assert len(json.loads((work / "words.json").read_text())) == 3 + 3 * command.MADE
    assert not (work / "encoder.pt").exists()
    monkeypatch.setattr("ltu.training.demo.made.ESPEAK", "no-such-speech")
    monkeypatch.setattr("ltu.training.demo.made.speak", None)  # nor is it needed
    command.main(**options, until="prepared")
