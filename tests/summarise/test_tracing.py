"""A sentence leads back to what says the same words, and to everything where nothing does."""

from breviary.summarise import tracing
from breviary.summarise.passages import Sentence

READ = [
    Sentence("The tide rises twice a day along the coast. ", 9, ((0, 43),), (0,)),
    Sentence("A loaf of bread needs flour and yeast. ", 8, ((50, 88),), (0,)),
    Sentence("The tide is early today. ", 5, ((200, 224),), (1,)),
    Sentence("Bakers rise early. ", 3, ((300, 318), (400, 410)), (2, 4)),
]


def traced(*said: str) -> list[tuple[tuple[int, ...], tuple[tuple[int, int], ...]]]:
    found = tracing.traced([Sentence(text, 1) for text in said], READ)
    assert [each.text for each in found] == list(said)
    return [(each.chunks, each.spans) for each in found]


def test_a_sentence_leads_back_to_what_says_the_same():
    assert traced("Bread needs yeast.", "Twice a day the TIDE rises!") == [((0,), ((50, 88),)), ((0,), ((0, 43),))]


def test_places_add_up_through_summaries_of_summaries():
    assert traced("Bakers are up early.") == [((2, 4), ((300, 318), (400, 410)))]


def test_equals_are_all_named_in_the_order_of_the_source():
    assert traced("Early.") == [((1, 2, 4), ((200, 224), (300, 318), (400, 410)))]


def test_what_shares_no_word_may_come_from_anywhere():
    everything = ((0, 1, 2, 4), ((0, 88), (200, 224), (300, 318), (400, 410)))
    assert traced("Hello.", "...", "") == [everything] * 3


def test_a_sentence_has_a_few_places_at_most_and_those_of_its_best_support_first():
    many = [Sentence(f"tide {place}", 2, ((100 * place, 100 * place + 50),), (place,)) for place in range(9)]
    other = Sentence("bread", 1, ((9000, 9001),), (9,))
    [found] = tracing.traced([Sentence("the tide", 2)], [*many, other])
    assert found.spans == ((0, 50), (100, 150), (200, 250), (300, 350))
    [found] = tracing.traced([Sentence("tide 7", 2)], [*many, other])
    assert (found.spans, found.chunks) == (((700, 750),), (7,))
