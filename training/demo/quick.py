"""The demo model's stages by the clock, for a card: sounds and questions are made while they are learnt from.

The files that they leave are those of stages.py, and FIGURES, which the model card reads.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ltu.files import write_json, write_text
from ltu.training.config import Config
from ltu.training.demo import endless, lessons
from ltu.training.demo.card import FIGURES, named_table, terms_table
from ltu.training.demo.fresh import Maker
from ltu.training.demo.mels import log_mel, normalised
from ltu.training.demo.projector import fit_projector
from ltu.training.demo.properties import Scale
from ltu.training.demo.questions import table, terms
from ltu.training.demo.report import ask
from ltu.training.demo.sounds import Recording, Sound, labels_of
from ltu.training.demo.stages import first_names, save_student
from ltu.training.demo.terms import is_unknown, sound_classes
from ltu.training.demo.yamnet import load_yamnet
from ltu.training.model.base import load_opened, open_base
from ltu.training.model.device import has_bfloat16, quick_products
from ltu.training.model.ltu import LTU
from ltu.training.run.checkpoint import save_checkpoint

ENCODED = 256  # views that are encoded together


def maker_of(recordings: Sequence[Recording], names: Sequence[str], device: torch.device, seed: int) -> Maker:
    waveforms = [recording.clip.waveform for recording in recordings]
    return Maker(waveforms, [names.index(recording.label) for recording in recordings], device, seed)


def learn_sounds(
    recordings: Sequence[Sound],
    unheard: Sequence[Sound],
    config: Config,
    work: Path,
    settings: endless.Settings,
    device: torch.device,
) -> None:
    """The encoder → `encoder.pt`, and with its heads `student.safetensors`; says what it names of unheard
    recordings."""
    names = labels_of(recordings)
    maker = maker_of(recordings, names, device, settings.seed)
    teacher = endless.Teacher(load_yamnet(work), device)
    error = teacher.try_half(maker.batch(64, endless.SHORT_FRAMES).waveforms)
    print(f"teacher: relative error of half precision {error:.2g}", flush=True)
    probe = endless.fit_probe(maker, teacher, settings)
    learnt = endless.learn(maker, teacher, probe, config.encoder, settings)
    figures: dict[str, object] = {"encoder": asdict(settings), "encoder_steps": learnt.steps}
    known = [r for r in unheard if r.label in names]
    for title, of in (("unheard", known), ("heard", recordings)):
        if not of:
            continue
        numbers = torch.tensor([names.index(r.label) for r in of], device=device)
        right = endless.named(learnt, teacher, maker_of(of, names, device, 0), numbers)
        figures[title] = {"recordings": len(of), **right}
        print(f"encoder: {title}, {len(of)} recordings: {right}", flush=True)
    _remember(work, figures)
    save_student(learnt.student.cpu(), work)


def words_of(recordings: Sequence[Recording], work: Path) -> dict[str, list[str]]:
    """The properties that are clearly true of each recording, measured once → `words.json`, by hash."""
    path = work / "words.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if found.keys() != {recording.clip.hash for recording in recordings}:  # other clips set another scale
        scale = Scale([recording.clip for recording in recordings])
        found = {recording.clip.hash: scale.words(recording.clip) for recording in recordings}
        write_json(path, found)
    return {recording.file: list(found[recording.clip.hash]) for recording in recordings}


def learn_language(
    recordings: Sequence[Recording],
    words: dict[str, list[str]],
    config: Config,
    work: Path,
    outputs: Sequence[Path],
    settings: lessons.Settings,
    device: torch.device,
) -> None:
    """Projector, then projector and LoRA in the rounds of the settings → a checkpoint of each."""
    torch.manual_seed(settings.seed)
    opened = open_base(config.base.path, config.base.bos)
    bos_id = opened.bos_id if config.base.bos else None
    clips = lessons.classes_of(recordings, words)
    made = [  # by processes that start now, while the model is made
        iter(lessons.batches(lessons.Lessons(clips, plan.round, settings, *to_tokenise), settings.workers))
        for to_tokenise in [(opened.tokenizer_json, config.base.template, bos_id, opened.eos_id)]
        for plan in settings.plans()
    ]
    base = load_opened(opened, torch.bfloat16 if has_bfloat16(device) else None)
    model = LTU(base.model, config.encoder, config.lora)
    model.audio_encoder.load_state_dict(torch.load(work / "encoder.pt", weights_only=True))
    model.to(device)
    views = encode(recordings, model, settings, device)
    own = views.view(len(recordings), settings.views, *views.shape[1:])
    model.cpu()  # the projector is fitted there, in float64
    tokenizer = Tokenizer.from_str(base.tokenizer_json)
    fit_projector(model, list(own[:, :2].cpu()), first_names(recordings), tokenizer)
    model.to(device)
    asked = sorted({term.text.lower() for term in terms("sounds") if term.seen})
    hashes = [recording.clip.hash for recording in recordings]
    steps = []
    for plan, batches, output in zip(settings.plans(), made, outputs, strict=True):
        steps.append(lessons.teach(model, views, batches, plan, settings, device))
        _remember(work, {"language": asdict(settings), "language_steps": steps})
        save_checkpoint(output, model, config, base, hashes, asked)
        print(f"language: {steps[-1]} steps, saved", flush=True)


@torch.no_grad()
def encode(
    recordings: Sequence[Recording], model: LTU, settings: lessons.Settings, device: torch.device
) -> Tensor:
    """Encoder outputs [recordings · views, 32, width]: of each recording as it is, then of varied ones, of
    which every fourth may be ten seconds long."""
    maker = maker_of(recordings, labels_of(recordings), device, settings.seed + 1)
    encoder = model.audio_encoder.eval()
    shape = len(recordings), settings.views, encoder.config.embeddings, encoder.config.width
    found = torch.zeros(shape, device=device)
    for view in range(settings.views):
        frames = endless.LONG_FRAMES if view % 4 == 0 else endless.SHORT_FRAMES
        for start in range(0, len(recordings), ENCODED):
            chosen = torch.arange(start, min(len(recordings), start + ENCODED), device=device)
            fresh = maker.views(chosen, frames, plain=view == 0)
            features = normalised(log_mel(fresh.waveforms), fresh.frames)
            with quick_products(device):
                found[chosen, view] = encoder(features).float()
    return found.flatten(0, 1)


def report(
    checkpoint: Path, unheard: Sequence[Sound], config: Config, path: Path, device: torch.device
) -> None:
    """What a checkpoint answers about recordings that nothing was trained on → tables in a file, printed."""
    figures = ask(checkpoint, unheard, config, device)
    known = [name for name in sound_classes(table("sounds")) if not is_unknown(name, table("sounds"))]
    text = f"{named_table(figures, known)}\n\n{terms_table(figures.asked)}\n"
    write_text(path, text)
    print(text, flush=True)


def _remember(work: Path, figures: dict[str, object]) -> None:
    path = work / FIGURES
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**known, **figures})
