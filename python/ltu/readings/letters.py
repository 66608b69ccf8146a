"""Letters that differ from ASCII's in width or style alone, and are read as those."""

import unicodedata

KINDS = ("<wide>", "<font>")  # Unicode's words for full width and for mathematical bold, script, …
BLOCKS = (  # that have them: letterlike symbols, CJK's space, full width, mathematical letters
    range(0x2100, 0x2150),
    range(0x3000, 0x3001),
    range(0xFF01, 0xFF5F),
    range(0x1D400, 0x1D800),
)


def _same_letters() -> dict[str, str]:
    found = {}
    for letter in (chr(code) for block in BLOCKS for code in block):
        kind, _, plain = unicodedata.decomposition(letter).partition(" ")
        if kind in KINDS and chr(int(plain, 16)).isascii():
            found[letter] = chr(int(plain, 16))
    return found


SAME_LETTERS = _same_letters()  # "Ｙ" → "Y"; the engine's automaton has the same table
_TABLE = str.maketrans(SAME_LETTERS)


def plain(text: str) -> str:
    """The text with those letters as ASCII's, one for one."""
    return text if text.isascii() else text.translate(_TABLE)
