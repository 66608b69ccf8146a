"""`python sweep_process.py SPEC RESULTS MODEL CLIPS PAUSE`: a sweep in a process of its own, to be killed.

PAUSE seconds pass before each batch of answers, so that a kill can fall anywhere.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from fake import FakeModel

from ltu.query import Answer, Query
from ltu.shard.run import sweep as sweep_module
from ltu.shard.run.runs import Settings, prepare
from ltu.shard.run.store import Store
from ltu.shard.run.sweep import sweep
from ltu.shard.spec.specification import read_spec


class SlowModel(FakeModel):
    pause = 0.0

    def answers(self, queries: Iterable[Query]) -> Iterator[Answer]:
        for answer in super().answers(queries):
            time.sleep(self.pause)
            yield answer


def main() -> None:
    spec_file, results, model_file, clips = map(Path, sys.argv[1:5])
    spec = read_spec(spec_file)
    hears = {clip.hash: spec.word(clip.label) for clip in spec.clips}
    model = SlowModel(model_file, hears)
    model.pause = float(sys.argv[5])
    sweep_module.COMMIT_SECONDS = 0.02
    store = Store(results, create=True)
    with store.writing():
        print("writing", flush=True)
        run = prepare(store, spec, model, clips, Settings())
        sweep(model, store, run, lambda count: None, {})


if __name__ == "__main__":
    main()
