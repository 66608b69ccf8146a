"""Items and clips → the groups that a run trains and is measured on."""

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltu.audio import load_audio
from ltu.errors import AudioError, Error
from ltu.files import sha256
from ltu.shard.spec.specification import read_spec
from ltu.training.config import DataConfig
from ltu.training.items.clips import ROW, Clips, new_clips, read_clips
from ltu.training.items.examples import read_items
from ltu.training.items.packing import Group, positions, share_beginnings
from ltu.training.items.tokenised import Counts, Tokeniser, Ungrouped, tokenised

MISSING = 0.01  # the share of clips that may be missing without a word from the user

NAMED = 3  # of the items that can't be used


@dataclass(frozen=True)
class Items:
    groups: Sequence[Group]
    lengths: npt.NDArray[np.int32]
    counts: Counts


@dataclass(frozen=True)
class Data:
    train: Items
    development: Items | None
    clips: Clips  # those of training and development items
    bad: tuple[str, ...] = ()  # about items that can't be used

    def hashes(self, items: Items) -> set[str]:
        return {self.clips.stored[name].hash for name in items.counts.clips}


def cache_folder(config: DataConfig) -> Path:
    return config.cache or config.items.parent / "cache"


@dataclass(frozen=True)
class Survey:
    """What the files of items name, known before anything is loaded."""

    clips: tuple[str, ...]  # each name once, in the order of the items
    bad: tuple[str, ...]  # about items that can't be used: file, place and reason


def check_files(config: DataConfig) -> Survey:
    """Raises Error for what can be known of items and clips before a model is loaded.

    All but a share of `bad_items` are items, at most MISSING of the clips' files are not there, none of those
    that are there is named as a clip that is reported on and holds the same sound, and the features of all
    fit on the disk.
    """
    found = _survey(config)
    _refuse_missing(config, found.clips)
    _refuse_reported_names(config, found.clips)
    cache = cache_folder(config)
    folder = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    needed, free = ROW * new_clips(found.clips, config.audio, cache), shutil.disk_usage(folder).free
    if needed > free:
        raise Error(
            f"{cache}: features of the clips take {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "free some space, or set data.cache"
        )
    return found


def _survey(config: DataConfig) -> Survey:
    """Raises Error when more of a file's items than `bad_items` can't be used."""
    names: dict[str, None] = {}
    bad: list[str] = []
    for file in _files(config):
        refused: list[str] = []
        count = 0
        for row in read_items(file, config.audio_prefixes, lambda error: refused.append(str(error))):  # noqa: B023
            count += 1
            names |= dict.fromkeys(row.audio)
        if len(refused) > config.bad_items * (count + len(refused)):
            more = f" ({len(refused)} of {count + len(refused)} items)" if len(refused) > 1 else ""
            raise Error(f"{refused[0]}{more}; data.bad_items says how many are left out in silence")
        if not count:
            raise Error(f"{file}: holds no items that can be used")
        bad += refused
    return Survey(tuple(names), tuple(bad))


def _refuse_missing(config: DataConfig, names: Sequence[str]) -> None:
    missing = [name for name in names if not (config.audio / name).is_file()]
    if len(missing) <= MISSING * len(names) or config.allow_missing:
        return
    first, absolute = missing[0], missing[0].startswith("/")
    where = "there" if absolute else f"in {config.audio}"
    hint = "set data.audio_prefixes to what data.audio stands for" if absolute else "check data.audio"
    raise Error(
        f"{config.items}: {len(missing)} of {len(names)} clips are not {where}, the first: {first}; "
        f"{hint}, or give --allow-missing to go on without their items"
    )


def _files(config: DataConfig) -> list[Path]:
    return [config.items, *([config.development] if config.development else [])]


def read_data(config: DataConfig, tokeniser: Tokeniser, survey: Survey | None = None) -> Data:
    """Reads what the cache lacks. Groups of more than one example are held in memory. Raises Error."""
    survey = survey or _survey(config)
    files, cache = _files(config), cache_folder(config)
    clips = read_clips(survey.clips, config.audio, cache)
    read = []
    for file in files:
        examples, counts = tokenised(
            file, sha256(file), clips.stored, list(clips.broken), tokeniser, cache, config.audio_prefixes
        )
        _refuse_losses(file, config, len(examples), counts, clips)
        lengths = examples.lengths
        groups: Sequence[Group] = Ungrouped(examples)
        if config.shared > 1 and file is config.items:
            groups = share_beginnings(list(examples), config.shared)
            lengths = np.array([positions(group) for group in groups], np.int32)
        read.append(Items(groups, lengths, counts))
    data = Data(read[0], read[1] if len(read) > 1 else None, clips, survey.bad)
    _refuse_reported(data, config)
    return data


def _refuse_losses(file: Path, config: DataConfig, left: int, counts: Counts, clips: Clips) -> None:
    """Raises Error when no item is left, or most of them went without the user's word."""
    why = next(iter(clips.broken.values()), "each is longer than the limit") if counts.items else ""
    if not left:
        raise Error(f"{file}: holds no items that can be used{f': {why}' if why else ''}")
    if counts.broken > counts.items / 2 and not config.allow_missing:
        raise Error(
            f"{file}: {counts.broken} of {counts.items} items are about clips that can't be read, the first: "
            f"{why}; give --allow-missing to go on without them"
        )
    if sum(counts.left_out.values()) > counts.items / 2:
        raise Error(
            f"{file}: of {counts.items} items {sum(counts.left_out.values())} have prompts longer than "
            f"{config.max_text_tokens} text tokens; raise data.max_text_tokens"
        )


def _refuse_reported_names(config: DataConfig, names: Sequence[str]) -> None:
    """Raises Error when a clip of the items has the file's name and the sound of one that is reported on.

    A first look, before hours of reading: `_refuse_reported` compares all of them by their sound.
    """
    for path in config.reported:
        reported = {Path(clip.file).name: clip for clip in read_spec(path).clips}
        for name in names:
            clip = reported.get(Path(name).name)
            if clip and (config.audio / name).is_file() and _hash(config.audio / name) == clip.hash:
                raise Error(
                    f"{config.items}: {name} is clip {clip.file} of {path}, which is reported on; take its "
                    "items out"
                )


def _hash(path: Path) -> str | None:
    try:
        return load_audio(path).hash
    except AudioError:
        return None


def _refuse_reported(data: Data, config: DataConfig) -> None:
    """Raises Error when a clip of the items is one that results are reported on."""
    for path in config.reported:
        reported = {clip.hash: clip.file for clip in read_spec(path).clips}
        for items, file in ((data.development, config.development), (data.train, config.items)):
            if items and (shared := sorted(data.hashes(items) & reported.keys())):
                more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
                raise Error(
                    f"{file}: is about clip {reported[shared[0]]}{more} of {path}, which is reported on; "
                    "take its items out"
                )


def summary(data: Data, config: DataConfig, named: bool = True) -> Iterator[str]:
    """Lines about the items and clips that were found; `named` False leaves out paths and names of files."""
    for items, file in ((data.train, config.items), (data.development, config.development)):
        if items is None:
            continue
        counts = items.counts
        what = file if named else "training" if items is data.train else "development"
        yield f"{what}: {counts.items} items about {len(counts.clips)} clips, {sum(items.lengths)} positions"
        if counts.broken:
            yield f"  {counts.broken} left out: their clips can't be read"
        for what, found in (("cut", counts.cut), ("left out", counts.left_out)):
            if found:
                by_format = ", ".join(f"{number} {format}" for format, number in sorted(found.items()))
                yield f"  {what} at {config.max_text_tokens} text tokens: {by_format}"
    if data.bad:
        shown = f": {'; '.join(data.bad[:NAMED])}" if named else ""
        yield f"{len(data.bad)} items left out that can't be used{shown}"
    if data.clips.broken:
        first = f", the first: {next(iter(data.clips.broken.values()))}" if named else ""
        yield f"{len(data.clips.broken)} broken clips{first}"
    if named:
        size = f"{data.clips.bytes / 1e6:.1f} MB"
        yield f"{cache_folder(config)}: features of {len(data.clips.stored)} clips, {size}"


def say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)
