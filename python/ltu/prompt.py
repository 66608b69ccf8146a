"""Prompt and clips → the token ids that the model reads; token ids → text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tokenizers import AddedToken, Tokenizer

from ltu import checks
from ltu.audio import Clip
from ltu.errors import PromptError

AUDIO = "[AUDIO]"
CLIP = -1  # stands in a list of ids for the 32 positions of one clip
Format = Literal["interleaved", "prepended"]

_PLACE = "\ue000[AUDIO]\ue000"  # not special, and not in anybody's text
_NEAR_MISS = re.compile(r"[\[<({|]+ *audio *[\])}>|]+", re.IGNORECASE)  # what is taken for [AUDIO]
_BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")  # of SentencePiece vocabularies


def _byte_level_alphabet() -> dict[str, int]:
    """Byte of each character of GPT-2's byte-level vocabularies: visible ones stand for themselves."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    unseen = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + i): byte for i, byte in enumerate(unseen)}


_BYTES = _byte_level_alphabet()


@dataclass(frozen=True)
class PromptSequence:
    """What the model reads: `ids` with CLIP where a whole clip stands, in the order of `clips`."""

    ids: tuple[int, ...]
    clips: tuple[Clip, ...] = ()

    def __post_init__(self) -> None:
        places = self.ids.count(CLIP)
        if places != len(self.clips):
            raise PromptError(f"the sequence has {places} places for clips and {len(self.clips)} clips")

    @classmethod
    def of(cls, items: Iterable[int | Clip]) -> "PromptSequence":
        """A sequence from token ids and clips, each clip where its 32 embeddings belong."""
        try:
            items = tuple(items)
        except TypeError:
            raise PromptError(f"the sequence is {checks.short(items)}; give token ids and clips") from None
        for item in items:
            if not isinstance(item, Clip):
                checks.whole("a token id", item, 0)
        clips = tuple(item for item in items if isinstance(item, Clip))
        return cls(tuple(CLIP if isinstance(item, Clip) else item for item in items), clips)


class Prompter:
    """Tokenizer and template of one model file.

    Text of a prompt is never read as a control token ("</s>" is four characters), [AUDIO] excepted; the
    template's own control tokens are.
    """

    def __init__(
        self, tokenizer_json: str, template: str, bos_id: int | None, rows: int | None = None
    ) -> None:
        """`template` holds "{prompt}" once; `bos_id` None: no BOS; `rows`: of the model's token table.

        Raises PromptError.
        """
        if template.count("{prompt}") != 1:
            raise PromptError(f"the prompt template {template!r} must hold {{prompt}} exactly once")
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.encode_special_tokens = (
            True  # as text; a placeholder that is not special stands for [AUDIO]
        )
        added = self._tokenizer.get_added_tokens_decoder()
        audio = next((token for token in added.values() if token.content == AUDIO), None)
        if audio is None:
            raise PromptError(f"the tokenizer has no {AUDIO}")
        place = AddedToken(_PLACE, lstrip=audio.lstrip, rstrip=audio.rstrip, normalized=False)
        self._tokenizer.add_tokens([place])
        self._place_id = self._tokenizer.token_to_id(_PLACE)
        self._byte_level = not getattr(self._tokenizer.model, "byte_fallback", False)
        self._control = {t.content: id for id, t in added.items() if t.special and t.content != AUDIO}
        self._rows = rows
        self._bos = () if bos_id is None else (bos_id,)
        self._before, self._after = template.split("{prompt}")

    def sequence(
        self, prompt: str, clips: Sequence[Clip] = (), format: Format = "interleaved"
    ) -> PromptSequence:
        """Puts the clips at the prompt's [AUDIO]s, or before BOS ("prepended"), as the LTU code does.

        Raises PromptError when placeholders and clips differ in number.
        """
        check_clips(prompt, len(clips), format)
        before, after = self._pieces(self._before), self._pieces(self._after)
        text = [*before[:-1], before[-1] + prompt + after[0], *after[1:]]
        ids = (*self._bos, *(id for position, piece in enumerate(text) for id in self._ids(position, piece)))
        if format == "prepended":
            ids = (CLIP,) * len(clips) + ids
        return PromptSequence(ids, tuple(clips))

    def decode(self, ids: Iterable[int]) -> str:
        """Text of generated ids, control tokens left out; invalid UTF-8 becomes U+FFFD."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def continuation(self, text: str) -> list[int]:
        """Token ids of text that stands behind a prompt, as it is cut together with the prompt's end.

        SentencePiece puts a space before a text's first word, and here none begins: the ids behind a newline
        are taken. [AUDIO] is text.
        """
        text = _as_unicode(checks.text("a continuation", text, PromptError))
        if self._byte_level:
            return self._cut(text)
        return self._cut("\n" + text)[len(self._cut("\n")) :]

    def token_bytes(self, count: int) -> list[bytes]:
        """The text of each token id below `count`; control tokens have none."""
        control = set(self._control.values())
        tokens = ("" if id in control else self._tokenizer.id_to_token(id) or "" for id in range(count))
        if self._byte_level:
            return [
                bytes(map(_BYTES.__getitem__, token)) if set(token) <= _BYTES.keys() else token.encode()
                for token in tokens
            ]
        return [
            bytes([int(token[3:5], 16)]) if _BYTE_TOKEN.fullmatch(token) else token.replace("▁", " ").encode()
            for token in tokens
        ]

    def stream(self) -> "TextStream":
        return TextStream(self)

    def is_byte(self, token: int) -> bool:
        """Whether a token is one byte of a character that the vocabulary lacks (SentencePiece's <0x..>)."""
        return bool(_BYTE_TOKEN.fullmatch(self._tokenizer.id_to_token(token) or ""))

    def _pieces(self, template: str) -> list[str]:
        """Text and control tokens in turn; text stands at even positions and may be empty."""
        if not self._control:
            return [template]
        return re.split(f"({'|'.join(map(re.escape, self._control))})", template)

    def _ids(self, position: int, piece: str) -> list[int]:
        if position % 2:
            if self._rows is not None and self._control[piece] >= self._rows:
                raise self._without_row(self._control[piece])
            return [self._control[piece]]
        text = _as_unicode(piece).replace(AUDIO, _PLACE)
        return [CLIP if id == self._place_id else id for id in self._cut(text)]

    def _cut(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        for id in ids:
            if self._rows is not None and id >= self._rows and id != self._place_id:
                raise self._without_row(id)
        return ids

    def _without_row(self, id: int) -> PromptError:
        token = self._tokenizer.id_to_token(id)
        return PromptError(
            f"the tokenizer cuts {token!r} as token {id}, and the model has rows for {self._rows} tokens; "
            "write it in another way, or give the model its whole table"
        )


def _as_unicode(text: str) -> str:
    """The text itself. Raises PromptError for half characters, as Python makes of bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text[max(error.start - 20, 0) : error.end + 20].encode(errors="replace").decode()
        raise PromptError(
            f"the text {shown!r} holds what is no Unicode character; write it in UTF-8"
        ) from None
    return text


class TextStream:
    """Generated ids in, text that can't change any more out."""

    def __init__(self, prompter: Prompter) -> None:
        self._prompter = prompter
        self._ids: list[int] = []
        self._sent = 0

    def push(self, token: int) -> str:
        """Text that this token completes; "" while a character lacks bytes."""
        self._ids.append(token)
        if self._prompter.is_byte(token):
            return ""
        return self._new(self._prompter.decode(self._ids).rstrip("\N{REPLACEMENT CHARACTER}"))

    def finish(self) -> str:
        """What was held back when the answer ended."""
        return self._new(self._prompter.decode(self._ids))

    def _new(self, text: str) -> str:
        piece = text[self._sent :]
        self._sent = max(self._sent, len(text))
        return piece


def check_clips(prompt: str, clips: int, format: Format) -> None:
    """Raises PromptError, which says what to do, unless the prompt has a place for each clip."""
    places = checks.text("the prompt", prompt, PromptError).count(AUDIO)
    if format not in get_args(Format):
        raise PromptError(f"there is no format {checks.short(format)}; give {' or '.join(get_args(Format))}")
    if format == "prepended":
        if places:
            raise PromptError(
                f"the prompt holds {places} {AUDIO} and the format is prepended, which puts clips before the "
                f"text; take {AUDIO} out or use the interleaved format"
            )
    elif places != clips:
        near = [text for text in _NEAR_MISS.findall(prompt) if text != AUDIO]
        if near and places < clips:
            what = f"write {AUDIO} for {near[0]}"
        elif places < clips:
            what = f"add {AUDIO} where each clip belongs, or use the prepended format"
        else:
            what = f"give one clip for each {AUDIO}"
        raise PromptError(f"the prompt holds {places} {AUDIO} and there are {clips} clips; {what}")
