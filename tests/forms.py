"""Forms of JSON documents: their keys, with types in the place of values. forms/ has one file for each.

A form that is not there is written, to be read and committed. A further key is welcome; one less breaks a
program that somebody has written.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "forms"
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text", type(None): "null"}
NOTHING = "nothing"  # of empty lists


def assert_form(name: str, document: Any) -> None:
    """The document has the form of forms/NAME.json."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(form(document), indent=2) + "\n", encoding="utf-8")
        raise AssertionError(f"{path} is new: is it what the command shall print?")
    assert form(document) == json.loads(path.read_text(encoding="utf-8"))


def form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: form(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [joined([form(entry) for entry in value])]
    return TYPES[type(value)]


def joined(forms: list[Any]) -> Any:
    """One form of several: `or` between types, `?` behind a key that not all have."""
    if forms and all(isinstance(each, dict) for each in forms):
        keys = dict.fromkeys(key for each in forms for key in each)
        found = {key: [each[key] for each in forms if key in each] for key in keys}
        return {key + "?" * (len(some) < len(forms)): joined(some) for key, some in found.items()}
    if forms and all(isinstance(each, list) for each in forms):
        return [joined([entry for each in forms for entry in each if entry != NOTHING])]
    return " or ".join(sorted(set(map(str, forms)))) or NOTHING
