"""The questions of a SHARD-sized sweep and their answers, as ids that any vocabulary of 32 000 has.

    python bench/gpu/work.py [--clips 312] FILE.json.gz

Table 1's questions about the demo's terms, nine to a clip, as the demo model's tokenizer has them. Answers
are made up, four to a question: of every 100 answers 93 are the question's likely one, as LTU's mostly are.
"""

import argparse
import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VOCABULARY, EOS, QUESTIONS, REPEATS = 32000, 2, 9, 4


@dataclass(frozen=True)
class Question:
    clip: int
    ids: list[int]  # -1: the clip
    answers: list[list[int]]  # of its repeats, EOS left out


def read_work(path: Path, clips: int) -> list[Question]:
    """The questions about the first `clips` clips, all about one clip together."""
    with gzip.open(path, "rt") as file:
        found = [Question(*row) for row in json.load(file)]
    return [question for question in found if question.clip < clips]


def tokens_an_answer(work: Sequence[Question]) -> int:
    """The mean, with EOS, for peers that can't be made to say something."""
    lengths = [len(answer) + 1 for question in work for answer in question.answers]
    return round(sum(lengths) / len(lengths))


def make_work(clips: int) -> list[Question]:
    import ltu
    from ltu.audio import Clip
    from ltu.demo_model import demo_model_path
    from ltu.training.demo.questions import ask, table_1, terms

    prompter = ltu.load(demo_model_path(), device="cpu", threads=1).prompter
    chosen = [term.text for term in terms() if term.kind != "name" and term.seen]
    rng = random.Random(0)
    made = []
    for number in range(clips):
        clip = Clip(np.ones(1000, np.float32), str(number))
        about: dict[tuple[int, ...], list[list[int]]] = {}
        index = 0
        while len(about) < QUESTIONS:
            format = ("prepended", "interleaved")[index % 2]
            relation = "identity" if index < 2 else ("type", "similar")[index // 2 % 2]
            term = chosen[(7 * number + 3 * index + index // len(chosen)) % len(chosen)]
            text = table_1(relation)[format]
            prompt = text if relation == "identity" else ask(text, relation, term, True)[0]
            verb = "a type of" if relation == "type" else "similar to"
            likely, other = f"Yes, it is {verb} {term}.", f"No, it is not {verb} {term}."
            if relation == "identity":
                likely, other = "Labels: Dog; Bark", "Labels: Rain"
            said = [prompter.continuation(other if rng.random() > 0.93 else likely) for _ in range(REPEATS)]
            ids = prompter.sequence(prompt, [clip], format).ids
            about[tuple(_known(ids))] = [_known(answer) for answer in said]
            index += 1
        made += [Question(number, list(ids), said) for ids, said in about.items()]
    return made


def _known(ids: Sequence[int]) -> list[int]:
    return [id % VOCABULARY if id >= 0 else id for id in ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--clips", type=int, default=312)
    options = parser.parse_args()
    work = make_work(options.clips)
    with gzip.open(options.file, "wt") as file:
        json.dump([(question.clip, question.ids, question.answers) for question in work], file)
    print(f"{len(work)} questions, {tokens_an_answer(work)} tokens an answer")


if __name__ == "__main__":
    main()
