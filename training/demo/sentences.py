"""What a clip is, and how it sounds, in whole sentences; and whether two clips are one kind of sound."""

from collections.abc import Mapping, Sequence

from ltu.training.demo.questions import FORMATS, Item, Rng, table, with_article
from ltu.training.demo.terms import is_unknown

MOST_WORDS = 2  # properties that a description tells


def sentence_items(
    clips: Mapping[str, str], heard: Mapping[str, Sequence[str]], pairs: int, rng: Rng
) -> list[Item]:
    """Items about clips (audio id → class): what each is and how it sounds; and `pairs` pairs of clips of one
    class, as many of two. `heard`: the properties that are clearly true of a clip."""
    items = []
    for audio, name in clips.items():
        for format in FORMATS:
            items.append(Item(audio, _wording("what", format, rng), what_it_is(name)))
            if not is_unknown(name, table("sounds")):
                answer = how_it_sounds(name, heard[audio], rng)
                items.append(Item(audio, _wording("describe", format, rng), answer))
    by_class: dict[str, list[str]] = {}
    for audio, name in clips.items():
        if not is_unknown(name, table("sounds")):
            by_class.setdefault(name, []).append(audio)
    several = [name for name, files in by_class.items() if len(files) > 1]
    for _ in range(pairs):
        for same in (True, False):
            items.append(_pair(by_class, several, same, rng))
    return items


def what_it_is(name: str) -> str:
    row = table("sounds")[name]
    if is_unknown(name, table("sounds")):
        return "I do not know what it is."
    return f"It is {with_article(row['names'][0])}."


def how_it_sounds(name: str, words: Sequence[str], rng: Rng) -> str:
    """ "It is a dog, loud and high-pitched." """
    chosen = rng.permutation(len(words))[:MOST_WORDS]
    told = " and ".join(words[index] for index in sorted(chosen.tolist()))
    return f"{what_it_is(name)[:-1]}{f', {told}' if told else ''}."


def _pair(by_class: Mapping[str, list[str]], several: Sequence[str], same: bool, rng: Rng) -> Item:
    first = several[int(rng.integers(len(several)))]
    other = first
    while not same and other == first:
        other = list(by_class)[int(rng.integers(len(by_class)))]
    if same:
        files = rng.choice(by_class[first], 2, replace=False).tolist()
    else:
        files = [str(rng.choice(by_class[name])) for name in (first, other)]
    format = FORMATS[int(rng.integers(len(FORMATS)))]
    answer = "Yes, they are the same kind of sound." if same else "No, they are different sounds."
    return Item(files, _wording("same", format, rng), answer)


def _wording(kind: str, format: str, rng: Rng) -> str:
    choices = table("wordings")[kind][format]
    return str(choices[int(rng.integers(len(choices)))])
