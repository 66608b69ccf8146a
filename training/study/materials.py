"""Questions, their interleaved versions, and the benchmarks."""

import random
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ltu.convert.llama import HUGGING_FACE, read_base
from ltu.errors import Error
from ltu.files import read_json_lines, write_json, write_json_lines
from ltu.shard.spec.build import build
from ltu.shard.spec.clips import Reader, choose
from ltu.shard.spec.labels_csv import NAME
from ltu.shard.spec.layouts import from_layouts
from ltu.shard.spec.prompts import PAPER_CELLS, Cell
from ltu.shard.spec.relations import IDENTITY
from ltu.shard.spec.specification import Spec
from ltu.shard.spec.words import Word
from ltu.training.demo.questions import FORMATS
from ltu.training.items.data import say
from ltu.training.reformulate.files import Files
from ltu.training.reformulate.subset import Selection
from ltu.training.reformulate.work import Work, reformulate
from ltu.training.study.folder import DEVELOPMENT, Folder
from ltu.training.study.generate import DATASET, Row
from ltu.training.study.models import COMPARED, Part
from ltu.training.study.sizes import Sizes
from ltu.training.study.split import Split, study_words
from ltu.training.study.terms import refuse_leaks

DEVELOPMENT_FOLD, TEST_FOLD, SEED = 3, 4, 0  # SEED: the draw of clips and negatives
GATE = PAPER_CELLS[0]  # prepended, long: as base models are trained


def tell(note: str) -> None:
    say([note])


def write_items(
    folder: Folder,
    name: str,
    rows: Sequence[Row],
    parts: Mapping[Part, int],
    new_terms: Sequence[str],
    base: Path,
) -> None:
    """Items of ltu-train, prepended and, unless they are a base model's, interleaved; a part's are the first.

    Raises Error when a text holds one of `new_terms`.
    """
    questions = folder.questions(name)
    source = questions / "openaqa.json"
    write_json(source, [row.to_json() for row in rows])
    plain = [row.to_json() for row in rows]
    versions = {"prepended": plain}
    if "base" not in parts:
        versions["interleaved"] = _interleaved(source, questions / "interleaved.jsonl", rows)
    texts = [f"{row['instruction']}\n{row['output']}" for version in versions.values() for row in version]
    refuse_leaks(texts, new_terms, Tokenizer.from_str(str(read_base(base).keys[HUGGING_FACE])))
    for part, count in parts.items():
        for format in FORMATS:
            if format in versions:
                write_json_lines(folder.items(name, format, part), versions[format][:count])
    folder.questions_done(name).touch()


def _interleaved(source: Path, output: Path, rows: Sequence[Row]) -> list[dict[str, str]]:
    reformulate(Work(Selection(source, (DATASET,), None, SEED), Files(output)))
    reworded = [row for _, row in read_json_lines(output)]
    if [row["audio_id"] for row in reworded] != [row.audio_id for row in rows]:
        raise Error(f"{output}: items failed; each needs an interleaved version")
    return reworded


def write_benchmarks(folder: Folder, sounds: Path, split: Split, sizes: Sizes) -> None:
    """Questions about the split's judged words, of clips that no training and no choice has heard; and, about
    its development words, those of the gate."""
    per_word = sizes.clips_per_word
    gate = _spec(sounds, split.development, DEVELOPMENT_FOLD, per_word, f"study-gate-{split.number}")
    gate = of_cells(gate, (GATE,))
    judged = _spec(sounds, split.judged, TEST_FOLD, per_word, f"study-{split.number}")
    folder.benchmark(split.number).parent.mkdir(parents=True, exist_ok=True)
    gate.write(folder.gate_questions(split.number))
    of_cells(judged, {cell for recipe in COMPARED.values() for cell in recipe.asked}).write(
        folder.benchmark(split.number)
    )


def write_label_questions(folder: Folder, sounds: Path, sizes: Sizes) -> None:
    """For the labels of development clips of all words, in the paper's ways."""
    name = f"study-{DEVELOPMENT}"
    spec = of_cells(
        _spec(sounds, study_words(), DEVELOPMENT_FOLD, sizes.label_clips_per_word, name), PAPER_CELLS
    )
    folder.label_questions.parent.mkdir(parents=True, exist_ok=True)
    spec.part(lambda question: question.task == IDENTITY).write(folder.label_questions)


def of_cells(spec: Spec, cells: Collection[Cell]) -> Spec:
    return spec.part(lambda question: question.cell in cells)


def _spec(sounds: Path, words: Sequence[Word], fold: int, per_word: int, name: str) -> Spec:
    folders = sorted(table.parent for table in sounds.glob(f"*/{NAME}"))
    root, candidates = from_layouts(folders, study_words(), (fold,), tell)
    labels = {word.label for word in words}
    of_words = (candidate for candidate in candidates if candidate.label in labels)
    clips = choose(of_words, per_word, random.Random(SEED), Reader(root, tell))
    return build(words, clips, root, name, SEED, "all", per_word=per_word, say=tell)
