"""What the options do, on a tiny model."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from gradients import Record
from training_run import ITEMS, TINY_ENCODER, write_run

from ltu.errors import Error
from ltu.training.config import read_config
from ltu.training.model.base import load_base
from ltu.training.model.encoder import EncoderConfig
from ltu.training.model.loss import text_labels
from ltu.training.model.ltu import LTU, LoraSizes
from ltu.training.run.train import train

BOS, A = 0, -1
CONFIGS = Path(__file__).parent.parent.parent / "training" / "configs"


def gradients(path: Path) -> Any:
    """(losses, gradients of each step by name)."""
    train(read_config(path), [Record(path.with_suffix(".pt"))])
    return torch.load(path.with_suffix(".pt"))


@pytest.mark.parametrize(
    ("batch", "options"),
    [(2, "gradient_accumulation_steps = 2"), (4, "gradient_checkpointing = true")],
)
def test_accumulation_and_checkpointing_change_no_gradient(
    recordings: Path, base_folder: Path, batch: int, options: str
) -> None:
    folder, parts = recordings.parent, ["lora", "projector", "encoder"]
    plain = write_run(folder, base_folder, parts, "plain", batch=4, items=ITEMS, options="logging_steps = 1")
    other = write_run(
        folder, base_folder, parts, "other", batch=batch, items=ITEMS, options=f"logging_steps = 1\n{options}"
    )
    (losses, expected), (other_losses, actual) = gradients(plain), gradients(other)
    assert other_losses == pytest.approx(losses, rel=1e-4)
    for one, two in zip(expected, actual, strict=True):
        assert one.keys() == two.keys()
        for name, gradient in one.items():
            torch.testing.assert_close(two[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_checkpointed_blocks_are_computed_again(tiny_ltu: LTU) -> None:
    tiny_ltu.train()
    tiny_ltu.train_only(["lora", "projector", "encoder"])
    tiny_ltu.checkpoint_gradients()
    counted: list[str] = []
    for name, module in tiny_ltu.named_modules():
        if name.endswith((".attn", ".self_attn")):
            module.register_forward_hook(lambda *_, name=name: counted.append(name))
    ids = torch.tensor([[A] * 32 + [BOS, 7, 8]])
    labels = text_labels(ids, torch.tensor([35]), BOS)
    loss = tiny_ltu(ids, torch.ones_like(ids), features=torch.randn(1, 1024, 128), labels=labels).loss
    once = list(counted)
    loss.backward()
    assert sorted(counted) == sorted(once * 2)


def test_a_base_in_half_precision_computes_what_autocast_computes(base_folder: Path) -> None:
    ids, encoded = torch.tensor([[BOS, 7] + [A] * 32 + [8, 9]]), torch.randn(1, 32, 16)
    labels = text_labels(ids, torch.tensor([36]), BOS)
    results = []
    for matrices in (None, torch.bfloat16):
        torch.manual_seed(0)
        model = LTU(load_base(base_folder, matrices).model, TINY_ENCODER, LoraSizes(r=2, alpha=4))
        model.train_only(["lora", "projector"])
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(ids, torch.ones_like(ids), encoded=encoded, labels=labels).loss
        loss.backward()
        results.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))
    assert {p.dtype for name, p in model.named_parameters() if "v_proj.base" in name} == {torch.bfloat16}


def test_the_projector_can_learn_at_its_own_rate(recordings: Path, base_folder: Path) -> None:
    path = write_run(
        recordings.parent, base_folder, ["lora", "projector"], options="projector_learning_rate = 0.0"
    )
    models = []
    for epochs in (1e-3, 2.0):  # one step and four
        config = read_config(path)
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs))
        models.append(dict(train(config).model.named_parameters()))
    for name, parameter in models[0].items():
        if "audio_proj" in name:
            assert torch.equal(parameter, models[1][name]), name
        elif "lora_B" in name:
            assert not torch.equal(parameter, models[1][name]), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("batch = 0", "batch: must be above 0"),
        ('scheduler = "sinus"', "scheduler: transformers knows no 'sinus'"),
        ('encoder_weights = "x"\ncheckpoint = "y"', "encoder_weights: a checkpoint brings its encoder"),
        ('report_to = "tensorboard"', "report_to: 'tensorboard' is not of type list"),
    ],
)
def test_values_that_make_no_sense_are_named(
    tmp_path: Path, base_folder: Path, options: str, message: str
) -> None:
    path = write_run(tmp_path, base_folder, ["lora"], options=options)
    path.write_text(path.read_text().replace("batch = 2\n", "" if "batch" in options else "batch = 2\n"))
    with pytest.raises(Error, match=message):
        read_config(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("lora.r", 999_999), ("lora.alpha", 10**30), ("encoder.width", 10**12), ("encoder.mlp", 999_999)],
        *[("encoder.blocks_a", 999_999), ("encoder.blocks_u", 10**30), ("encoder.blocks_u", -1)],
        *[("encoder.patch", 999_999), ("encoder.frames", 999_999), ("encoder.mels", 64)],
        *[("data.views", 999_999), ("train.epochs", 10**12), ("train.seed", 2**32)],
    ],
)
def test_sizes_that_no_run_can_have_are_named_before_anything_is_made(
    tmp_path: Path, base_folder: Path, key: str, value: int
) -> None:
    table, _, name = key.partition(".")
    path = write_run(tmp_path, base_folder, ["lora"])
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{name} = ")]
    lines.insert(lines.index(f"[{table}]") + 1, f"{name} = {value}")
    path.write_text("\n".join(lines))
    with pytest.raises(Error) as caught:
        read_config(path)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert len(message.removeprefix(str(path))) < 120
    assert str(value) in message or "0 or more" in message or name == "patch"


@pytest.mark.skipif(torch.cuda.is_available(), reason="has what is missing here")
def test_what_this_machine_lacks_is_said_before_anything_is_read(tmp_path: Path, base_folder: Path) -> None:
    output = write_run(tmp_path, base_folder, ["lora"], "items.jsonl")
    with pytest.raises(Error, match=r"train\.output: .*items\.jsonl is a file; give a folder"):
        train(read_config(output))
    for options, message in (
        ('precision = "float16"', "float16 needs a GPU"),
        ('report_to = ["pigeon"]', r"train\.report_to: pigeon is not installed"),
    ):
        path = write_run(tmp_path, base_folder, ["lora"], options=options)
        with pytest.raises(Error, match=message):
            train(read_config(path))


@pytest.mark.parametrize("name", ["ltu-stage4", "ft-small", "ft-large"])
def test_the_papers_settings_are_read_and_each_value_says_where_it_is_from(name: str) -> None:
    path = CONFIGS / f"{name}.toml"
    config = read_config(path)
    assert (config.lora.r, config.lora.alpha, config.encoder) == (8, 16, EncoderConfig())
    assert config.train.learning_rate == (1e-4 if name == "ltu-stage4" else 2e-5)
    for line in path.read_text().splitlines():
        if " = " in line and not line.startswith("#"):
            source = line.partition("  # ")[2]
            assert source.startswith(("paper", "LTU script", "ours")), line
