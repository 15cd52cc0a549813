"""What counts as one word and as one sentence when texts are compared, in any script.

On ASCII text the words and stems are exactly those of `rouge_score`'s default tokenizer (lower case, runs of letters
and digits, Porter stems of words longer than three letters). That tokenizer drops every other character, so a Cyrillic
or Greek summary scores 0 against itself; here a word is a run of letters, marks and digits of any script, after NFKC
normalisation, so that a composed and a decomposed accent are the same word. Scripts written without spaces (Chinese,
Japanese, Thai, Lao, Khmer, Burmese) count one character as one word. Only ASCII words are stemmed: Porter's rules are
English.
"""

import unicodedata
from functools import cache, lru_cache
from typing import Any

import regex

from breviary.data.sentences import spans

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
WORD = regex.compile(rf"{UNSPACED}\p{{M}}*|(?:(?!{UNSPACED})[\p{{L}}\p{{M}}\p{{N}}])+")


def words(text: str) -> list[str]:
    """The words of `text` in lower case, without punctuation."""
    return WORD.findall(unicodedata.normalize("NFKC", text).lower())


def stems(text: str) -> list[str]:
    """The words of `text`, each English one reduced to its Porter stem."""
    return [_stem(word) if word.isascii() else word for word in words(text)]


def sentences(text: str) -> list[str]:
    """The sentences of `text`, each on one line without white space around it."""
    found = (" ".join(text[start:end].split()) for start, end in spans(text))
    return [sentence for sentence in found if sentence]


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    return _reference().tokenize(word)[0]


@cache
def _reference() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer  # imports nltk, which takes a second

    return DefaultTokenizer(use_stemmer=True)
