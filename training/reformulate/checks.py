"""Whether a reformulated prompt may be used."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from ltu.prompt import AUDIO
from ltu.training.reformulate.openaqa import Kind
from ltu.training.reformulate.prompts import KEY
from ltu.training.reformulate.resources import table

LONGEST = 2000  # characters of a prompt; the longest of the paper's has about 200
_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Verdict:
    """A prompt, or the reason why the answer holds none; a model is told the reason."""

    prompt: str = ""
    problem: str = ""


def check_answer(kind: Kind, instruction: str, answer: str) -> Verdict:
    """Judges a model's whole answer, the JSON around the prompt included."""
    try:
        document = _document(answer)
    except (ValueError, RecursionError):
        return Verdict(problem="it is not valid JSON")
    if not isinstance(document, dict) or not isinstance(document.get(KEY), str):
        return Verdict(problem=f'it is not one JSON object with the key "{KEY}" and a text')
    prompt = " ".join(document[KEY].split())
    problem = check(kind, instruction, prompt)
    return Verdict("" if problem else prompt, problem)


def _document(answer: str) -> Any:
    """The JSON in an answer. Servers that enforce no schema put thoughts, a fence or a sentence around it."""
    text = answer.rpartition("</think>")[2].strip("\ufeff \t\r\n")
    try:
        return json.loads(text)
    except ValueError:
        start = text.find("{")
        if start < 0:
            raise
        document, end = json.JSONDecoder().raw_decode(text, start)
        if "{" in text[end:]:  # which of several was meant?
            raise
        return document


def check(kind: Kind, instruction: str, prompt: str) -> str:
    """The first problem of a prompt; "" if it has none."""
    if len(prompt) > LONGEST:
        return f"it has {len(prompt)} characters, more than {LONGEST}"
    if _UNWRITABLE.search(prompt):
        return "it holds control characters or halves of characters"
    places = re.findall(re.escape(AUDIO), prompt, re.IGNORECASE)
    text = prompt.replace(AUDIO, " ")
    if not _words(text):
        return "it is empty"
    if places != [AUDIO]:
        return f"it must hold the placeholder, written {AUDIO}, exactly once, not {places.count(AUDIO)} times"
    if found := _forbidden().search(text):
        return f'it says "{found.group().lower()}", which refers to a media file'
    if _words(text) == _words(instruction):
        return "it is a copy of the old prompt"
    if kind == "acoustic":
        for wanted, name in (("label", "a label"), ("features", "acoustic features")):
            if not _starts(wanted).search(text):
                return f"it does not ask for {name}"
    return ""


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@cache
def _forbidden() -> re.Pattern[str]:
    # a hyphen is part of a word: the clip-clop of hooves is no clip
    return re.compile(rf"(?<![\w-])(?:{_either(table('checks')['forbidden'])})s?(?![\w-])", re.IGNORECASE)


@cache
def _starts(list_name: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{_either(table('checks')[list_name])})", re.IGNORECASE)


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in words)
