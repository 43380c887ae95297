"""The vocabulary that captioner and model share."""

import pytest

from vidsr.degradation_words import (
    BLUR_EDGES,
    COMPRESSION_EDGES,
    LEVELS,
    NOISE_EDGES,
    Degradation,
    describe,
    level,
)


def test_the_sentence_has_one_phrase_for_each_degradation_that_is_known() -> None:
    degradation = Degradation(noise_sigma=5.0, blur_sigma=1.4, jpeg_quality=90.0)
    assert describe(degradation) == "moderate noise, strong blur, light compression blocks"


def test_what_is_not_known_is_not_mentioned() -> None:
    assert describe(Degradation(blur_sigma=0.0)) == "no blur"
    assert describe(Degradation()) == ""


def test_a_clean_picture_is_said_to_be_clean() -> None:
    clean = Degradation(noise_sigma=0.0, blur_sigma=0.0, jpeg_quality=100.0)
    assert describe(clean) == "no noise, no blur, no compression blocks"


@pytest.mark.parametrize("edges", [NOISE_EDGES, BLUR_EDGES, COMPRESSION_EDGES])
def test_a_stronger_degradation_never_gets_a_weaker_word(edges: tuple[float, float, float]) -> None:
    words = [level(0.1 * step, edges) for step in range(1000)]
    assert [LEVELS.index(word) for word in words] == sorted(LEVELS.index(word) for word in words)
    assert set(words) == set(LEVELS)


@pytest.mark.parametrize("edges", [NOISE_EDGES, BLUR_EDGES, COMPRESSION_EDGES])
def test_an_edge_belongs_to_the_stronger_word(edges: tuple[float, float, float]) -> None:
    assert [level(edge, edges) for edge in edges] == list(LEVELS[1:])
