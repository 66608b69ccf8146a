"""Groups of examples → batches."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ltu.training.items.packing import Group, lay_out, visible
from ltu.training.model.loss import IGNORED, text_labels


class Collator:
    """Groups of examples → the arguments of `LTU.forward`. Right padding.

    `inputs` holds for each clip what stands for it, [views, ...]: its features, or encoder outputs while the
    encoder is frozen. Which view a group hears is decided by seed and drawing number alone, so that it is the
    same in a run that goes on after a kill, or on more processes.
    """

    def __init__(
        self, inputs: Mapping[str, Tensor], kind: str, bos_id: int | None, answers_only: bool, seed: int
    ) -> None:
        self._inputs, self._kind = inputs, kind
        self._bos_id, self._answers_only, self._seed = bos_id, answers_only, seed

    def __call__(self, groups: Sequence[Group]) -> dict[str, Tensor]:
        layouts = [lay_out(group) for group in groups]
        lengths = torch.tensor([len(layout.ids) for layout in layouts])

        def padded(field: str, padding: int = 0) -> Tensor:
            columns = [getattr(layout, field) for layout in layouts]
            return pad_sequence(columns, batch_first=True, padding_value=padding)

        ids = padded("ids")
        labels = text_labels(ids, lengths, self._bos_id)
        if self._answers_only:
            labels = labels.masked_fill(~padded("answer"), IGNORED)
        labels = labels.masked_fill(torch.tensor([group.silent for group in groups])[:, None], IGNORED)
        heard = [clip for group in groups for clip in self._heard(group)]
        return {
            "ids": ids,
            "position_ids": padded("positions"),
            "attention_mask": visible(padded("branch", -1)),
            "labels": labels,
            "before": padded("before").clamp(min=0),
            "weights": padded("weight").masked_fill(labels == IGNORED, 0),
            self._kind: torch.stack(heard) if heard else torch.empty(0),
        }

    def _heard(self, group: Group) -> Iterator[Tensor]:
        """One view of each clip."""
        views = [self._inputs[name] for name in group.examples[0].audio]
        if group.drawing is None:
            return (view[0] for view in views)
        rng = np.random.default_rng([self._seed, group.drawing])
        return (view[rng.integers(len(view))] for view in views)
