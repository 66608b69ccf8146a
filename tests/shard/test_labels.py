"""Identity: the whole canonical string, longest first, each part of the answer once."""

import pytest

from ltu.shard.spec.labels import labels_named, named, names_label, names_part, precision, relatives


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Labels: Dog; Bark", ["Dog", "Bark"]),
        ("labels: dog", ["Dog"]),
        ("Waves, surf", ["Waves, surf"]),
        ("waves and surf", []),
        ("Bass drum; Drum", ["Bass drum", "Drum"]),  # the first drum belongs to the longer label
        ("Rain on surface", ["Rain on surface"]),
        ("Rain on surface, Rain", ["Rain on surface", "Rain"]),
        ("Bulldog", []),
        ("Roaring cats (lions, tigers)", ["Roaring cats (lions, tigers)"]),
        ("Dog, dog and dog", ["Dog", "Dog", "Dog"]),
        ("", []),
    ],
)
def test_labels_named(text: str, labels: list[str]) -> None:
    assert list(labels_named(text)) == labels


def test_strict_wants_the_whole_string_lenient_a_comma_part() -> None:
    assert names_label("Waves, surf", "Waves, surf")
    assert not names_label("The surf is heard", "Waves, surf")
    assert names_part("The surf is heard", "Waves, surf")
    assert not names_part("The sea is heard", "Waves, surf")
    assert not names_part("Rain on surface", "Rain"), "that part of the answer names another label"


def test_each_part_of_the_text_is_used_once() -> None:
    assert named("a b c", ["a b", "b c"]) == ["a b"]


def test_relatives_stand_above_below_or_beside() -> None:
    assert {"Animal", "Bark", "Cat"} <= relatives("Dog")
    assert not {"Dog", "Car", "Owl"} & relatives("Dog")


def test_precision_counts_the_label_and_what_stands_above_as_right() -> None:
    assert precision([["Dog", "Animal", "Speech"], ["Cat"]], "Dog") == (2, 4)
