"""Random views of sounds of every length."""

import numpy as np
import pytest

from ltu.defaults import FRAMES, MELS
from ltu.training.items.augment import random_view


@pytest.mark.parametrize("frames", [30, 512, FRAMES])
def test_a_view_fits_the_input_and_says_how_much_of_it_is_sound(frames: int) -> None:
    rng = np.random.default_rng(0)
    power = rng.gamma(1.0, 1.0, (frames, MELS)).astype(np.float32)
    for _ in range(100):  # a view may be cut, repeated, faster or slower
        view = random_view(power, rng)
        assert view.features.shape == (FRAMES, MELS)
        assert 0 < view.frames <= FRAMES
        assert np.isfinite(view.features).all()
        assert (view.features[view.frames :] == view.features[-1, -1]).all() or view.frames == FRAMES
