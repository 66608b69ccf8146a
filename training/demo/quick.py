"""The demo model's stages on a card: sounds and questions are made while they are learnt from, for a given
time each. The files that they leave are those of stages.py."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from ltu.files import write_json, write_text
from ltu.prompt import Prompter
from ltu.training.config import Config
from ltu.training.demo import endless, lessons
from ltu.training.demo.card import Figures, named_table, terms_table
from ltu.training.demo.evaluate import Judge, ask_labels, ask_terms, ask_unknown
from ltu.training.demo.fresh import Maker
from ltu.training.demo.mels import log_mel, normalised
from ltu.training.demo.projector import fit_projector
from ltu.training.demo.properties import Scale
from ltu.training.demo.questions import table, terms
from ltu.training.demo.sounds import Recording, Sound, labels_of
from ltu.training.demo.stages import SEED, UNNAMED
from ltu.training.demo.terms import is_unknown, sound_classes
from ltu.training.demo.yamnet import load_yamnet
from ltu.training.model.base import Base, load_opened, open_base
from ltu.training.model.device import has_bfloat16, quick_products
from ltu.training.model.ltu import LTU
from ltu.training.run.checkpoint import load_checkpoint, save_checkpoint

FIGURES = "quick.json"  # what the card says of these stages
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
    student = endless.learn(maker, teacher, probe, len(names), config.encoder, settings, device, work)
    figures: dict[str, object] = {"encoder": asdict(settings), "steps": student.steps}
    known = [r for r in unheard if r.label in names]
    for title, of in (("unheard", known), ("heard", recordings)):
        if not of:
            continue
        numbers = torch.tensor([names.index(r.label) for r in of], device=device)
        right = endless.named(student, teacher, maker_of(of, names, device, 0), numbers)
        figures[title] = {"recordings": len(of), **right}
        print(f"encoder: {title}, {len(of)} recordings: {right}", flush=True)
    model = student.student.cpu()
    half = {name: tensor.detach().half().contiguous() for name, tensor in model.named_parameters()}
    save_file(half, work / "student.safetensors")
    torch.save(model.encoder.state_dict(), work / "encoder.pt")
    _remember(work, figures)


def words_of(recordings: Sequence[Recording], work: Path) -> dict[str, list[str]]:
    """The properties that are clearly true of each recording, measured once → `words.json`, by hash."""
    path = work / "words.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not found.keys() >= {recording.clip.hash for recording in recordings}:
        scale = Scale([recording.clip for recording in recordings])
        found = {recording.clip.hash: scale.words(recording.clip) for recording in recordings}
        write_json(path, found)
    return {recording.file: list(found[recording.clip.hash]) for recording in recordings}


def learn_language(
    recordings: Sequence[Recording],
    words: dict[str, list[str]],
    config: Config,
    work: Path,
    output: Path,
    settings: lessons.Settings,
    device: torch.device,
) -> None:
    """Projector, then projector and LoRA in the rounds of the settings → a checkpoint in `output`."""
    torch.manual_seed(settings.seed)
    opened = open_base(config.base.path, config.base.bos)
    bos_id = opened.bos_id if config.base.bos else None
    clips = lessons.classes_of(recordings, words)
    made = [  # by processes that start now, while the model is made
        iter(lessons.batches(lessons.Lessons(clips, plan.round, settings, *to_tokenise), settings.workers))
        for to_tokenise in [(opened.tokenizer_json, config.base.template, bos_id, opened.eos_id)]
        for plan in settings.plans()
    ]
    base, model = open_model(config, device)
    model.audio_encoder.load_state_dict(torch.load(work / "encoder.pt", weights_only=True))
    model.to(device)
    views = encode(recordings, model, settings, device)
    own = views.view(len(recordings), settings.views, *views.shape[1:])
    model.cpu()  # the projector is fitted there, in float64
    names = [table("sounds")[r.label].get("names", [UNNAMED])[0].lower() for r in recordings]
    fit_projector(
        model,
        list(own[:, :2].float().cpu()),
        names,
        Tokenizer.from_str(base.tokenizer_json),
    )
    model.to(device)
    steps = []
    for plan, batches in zip(settings.plans(), made, strict=True):
        steps.append(lessons.teach(model, views, batches, plan, settings, device))
        asked = sorted({term.text.lower() for term in terms("sounds") if term.seen})
        hashes = [recording.clip.hash for recording in recordings]
        save_checkpoint(output, model, config, base, hashes, asked)
        print(f"language: {steps[-1]} steps, saved", flush=True)
    _remember(work, {"language": asdict(settings), "language_steps": steps})


def open_model(config: Config, device: torch.device) -> tuple[Base, LTU]:
    quick = torch.bfloat16 if has_bfloat16(device) else None
    base = load_opened(open_base(config.base.path, config.base.bos), quick)
    return base, LTU(base.model, config.encoder, config.lora)


@torch.no_grad()
def encode(
    recordings: Sequence[Recording], model: LTU, settings: lessons.Settings, device: torch.device
) -> Tensor:
    """Encoder outputs [recordings · views, 32, width]: of each recording as it is, then of varied ones, of
    which every fourth may be ten seconds long."""
    maker = maker_of(recordings, labels_of(recordings), device, settings.seed + 1)
    encoder = model.audio_encoder.eval()
    found = torch.zeros(
        len(recordings), settings.views, config_embeddings(model), encoder.config.width, device=device
    )
    for view in range(settings.views):
        frames = endless.LONG_FRAMES if view % 4 == 0 else endless.SHORT_FRAMES
        for start in range(0, len(recordings), ENCODED):
            chosen = torch.arange(start, min(len(recordings), start + ENCODED), device=device)
            fresh = maker.views(chosen, frames, plain=view == 0)
            features = normalised(log_mel(fresh.waveforms), fresh.frames)
            with quick_products(device):
                found[chosen, view] = encoder(features).float()
    return found.flatten(0, 1)


def config_embeddings(model: LTU) -> int:
    return model.audio_encoder.config.embeddings


@torch.no_grad()
def report(
    checkpoint: Path, unheard: Sequence[Sound], config: Config, path: Path, device: torch.device
) -> None:
    """What a checkpoint answers about recordings that nothing was trained on → tables in a file, printed."""
    base, model = open_model(config, device)
    load_checkpoint(checkpoint, model)
    model.to(device)
    bos_id = base.bos_id if config.base.bos else None
    judge = Judge(model, Prompter(base.tokenizer_json, config.base.template, bos_id), bos_id, base.eos_id)
    known = [r for r in unheard if r.label in table("sounds") and not is_unknown(r.label, table("sounds"))]
    unknown = [r for r in unheard if r not in known]
    rng = np.random.default_rng(SEED)
    figures = Figures(
        asked=ask_terms(judge, known, rng),
        named=ask_labels(judge, unheard),
        about_unknown=ask_unknown(judge, unknown, rng),
        esc10={r.label for r in known if r.esc10},
        never_trained={r.label for r in unknown if r.label not in table("sounds")},
    )
    of = [name for name in sound_classes(table("sounds")) if not is_unknown(name, table("sounds"))]
    text = f"{named_table(figures, of)}\n\n{terms_table(figures.asked)}\n"
    write_text(path, text)
    print(text, flush=True)


def _remember(work: Path, figures: dict[str, object]) -> None:
    path = work / FIGURES
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {**known, **figures})
