"""The stages of the demo model; each reads what the one before left, and goes on where it was killed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from ltu.files import write_json_lines
from ltu.training.config import Config
from ltu.training.demo.bank import make_bank, read_bank
from ltu.training.demo.distil import Recipe, Student, distil
from ltu.training.demo.projector import fit_projector
from ltu.training.demo.properties import Scale
from ltu.training.demo.questions import Item, table, training_items
from ltu.training.demo.sentences import sentence_items
from ltu.training.demo.sounds import Recording, labels_of
from ltu.training.items.inputs import encode_views
from ltu.training.model.base import load_base
from ltu.training.model.ltu import LTU
from ltu.training.run.checkpoint import save_checkpoint
from ltu.training.run.train import train

SEED = 0
PIECES = 120  # of the bank: 30,720 entries
CLIPS = 3  # from each class; a pool of questions is about them, and those about one clip share its positions
PAIRS = 6  # questions of a pool about each term that are true, and as many that are false
SAME = 60  # pairs of clips of a pool that are one kind of sound, and as many that are two
UNNAMED = "unknown"  # what the projector is fitted to for classes without a name


@dataclass(frozen=True)
class Round:
    """One round of training: a yes/no answer's first word alone is learnt, or the whole answer.

    The first word carries the decision and is hard to learn; the words after it follow quickly.
    """

    pools: int
    learning_rate: float
    first_words: bool

    def describe(self) -> str:
        pools = f"{self.pools} pools of {PAIRS} true and {PAIRS} false questions about each term"
        return f"{pools}, {self.learns()}"

    def learns(self) -> str:
        learnt = "the first word of yes/no answers" if self.first_words else "whole answers"
        return f"{learnt}, learning rate {self.learning_rate:g}"


ROUNDS = (Round(14, 1e-3, first_words=True), Round(4, 5e-4, first_words=False))


def hear_teacher(recordings: Sequence[Recording], work: Path) -> None:
    """The teacher hears varied and mixed recordings → `bank/`."""
    names = labels_of(recordings)
    numbers = [names.index(recording.label) for recording in recordings]
    waveforms = [recording.clip.waveform for recording in recordings]
    make_bank(waveforms, numbers, PIECES, work / "bank", torch.get_num_threads(), SEED)


def learn_sounds(
    recordings: Sequence[Recording], config: Config, work: Path, recipe: Recipe, start: Path | None
) -> None:
    """The encoder learns from the bank → `encoder.pt`, and with its heads `student.safetensors`, a start for
    further runs."""
    labels = len(labels_of(recordings))
    student = distil(read_bank(work / "bank"), labels, config.encoder, recipe, work, start)
    save_student(student, work)


def save_student(student: Student, work: Path) -> None:
    """`student.safetensors`, then `encoder.pt`, which says that the stage has ended."""
    half = {name: tensor.detach().half().contiguous() for name, tensor in student.named_parameters()}
    save_file(half, work / "student.safetensors")
    torch.save(student.encoder.state_dict(), work / "encoder.pt")


def warm_start(recordings: Sequence[Recording], config: Config, work: Path) -> None:
    """The encoder, a fitted projector and a LoRA that changes nothing as a checkpoint to train on."""
    base = load_base(config.base.path)
    model = LTU(base.model, config.encoder, config.lora)
    model.audio_encoder.load_state_dict(torch.load(work / "encoder.pt"))
    clips = {recording.file: recording.clip for recording in recordings}
    encoded = encode_views(model.audio_encoder, clips, views=2, seed=SEED)
    tokenizer = Tokenizer.from_str(base.tokenizer_json)
    fit_projector(model, [encoded[r.file] for r in recordings], first_names(recordings), tokenizer)
    assert config.train.checkpoint is not None
    save_checkpoint(config.train.checkpoint, model, config, base, [clip.hash for clip in clips.values()], ())


def first_names(recordings: Sequence[Recording]) -> list[str]:
    """What the projector is fitted to."""
    return [table("sounds")[r.label].get("names", [UNNAMED])[0].lower() for r in recordings]


def learn_language(recordings: Sequence[Recording], config: Config, number: int) -> None:
    """One of ROUNDS for projector and LoRA, by the same path as `ltu-train`."""
    round, rng = ROUNDS[number], np.random.default_rng(SEED + number)
    scale = Scale([recording.clip for recording in recordings])
    heard = {recording.file: scale.words(recording.clip) for recording in recordings}
    by_class = files_by_class((recording.label, recording.file) for recording in recordings)
    items = [item for _ in range(round.pools) for item in pool(by_class, heard, round, rng)]
    config.data.items.parent.mkdir(parents=True, exist_ok=True)
    write_json_lines(config.data.items, (item.row() for item in items))
    train(replace(config, train=replace(config.train, learning_rate=round.learning_rate)))


def files_by_class(clips: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Of each label's clips (label, file)."""
    found: dict[str, list[str]] = {}
    for label, file in clips:
        found.setdefault(label, []).append(file)
    return found


def pool(
    by_class: Mapping[str, Sequence[str]],
    heard: Mapping[str, Sequence[str]],
    round: Round,
    rng: np.random.Generator,
) -> list[Item]:
    """Many questions about few clips, which share the clips' positions. `by_class`: the clips of each class;
    `heard`: what words are true of each."""
    clips = {
        file: name
        for name, files in by_class.items()
        for file in rng.choice(files, min(CLIPS, len(files)), replace=False).tolist()
    }
    items = training_items(clips, PAIRS, rng, round.first_words, "sounds")
    return items if round.first_words else items + sentence_items(clips, heard, SAME, rng)
