"""BERTScore against the authors' library, on random encoders of three families, and what it gets wrong."""

from pathlib import Path
from typing import Any

import bert_score
import pytest
import torch
from bert_score.utils import greedy_cos_idf
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    BertTokenizer,
    DebertaConfig,
    DebertaModel,
    DebertaTokenizer,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizer,
)

from breviary.errors import ModelError
from breviary.model import bertscore, compute

pytestmark = pytest.mark.slow  # the authors' library takes seconds to import
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PAIRS = [("the cat sat on the mat it slept", "a cat was on a mat"), ("yes", "no it is not so"), ("x y", "a b c d e f")]
SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
LAYER = 2


def bert(place: Path) -> None:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    BertTokenizer(vocab={name: number for number, name in enumerate(names)}).save_pretrained(place)
    BertModel(BertConfig(vocab_size=len(names), **SHAPE)).save_pretrained(place)


def roberta(place: Path) -> None:
    vocabulary = _bytes("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    # the library no longer asks for the space before the first word, so the tokenizer itself has to
    RobertaTokenizer(vocab=vocabulary, merges=[("Ġ", "t")], add_prefix_space=True).save_pretrained(place)  # type: ignore[arg-type]
    RobertaModel(RobertaConfig(vocab_size=len(vocabulary), type_vocab_size=1, **SHAPE)).save_pretrained(place)


def deberta(place: Path) -> None:
    vocabulary = _bytes("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
    DebertaTokenizer(vocab=vocabulary, merges=[("Ġ", "t")]).save_pretrained(place)  # type: ignore[arg-type]
    kind: dict[str, Any] = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
    DebertaModel(DebertaConfig(vocab_size=len(vocabulary), pad_token_id=1, **kind, **SHAPE)).save_pretrained(place)


def _bytes(*special: str) -> dict[str, int]:
    return {name: number for number, name in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt"])}


@pytest.fixture(scope="module", params=[bert, roberta, deberta], ids=lambda make: make.__name__)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compute.quiet()
    place = tmp_path_factory.mktemp(request.param.__name__)
    torch.manual_seed(0)
    request.param(place)
    return place


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compute.quiet()
    place = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    bert(place)
    return place


def test_agrees_with_the_authors_library(folder: Path):
    found = bertscore.load(folder, [LAYER]).scores(PAIRS)[0]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 512  # without a limit the library does not run
    tokenizer.save_pretrained(folder)
    for row, (summary, reference) in zip(found, PAIRS, strict=True):  # one by one: its pads win over negative cosines
        theirs = bert_score.score([summary], [reference], model_type=str(folder), num_layers=LAYER)
        torch.testing.assert_close(row, torch.cat(theirs), atol=1e-5, rtol=0)  # type: ignore[arg-type]


def test_every_layer_asked_for_is_scored(small: Path):
    together = bertscore.load(small, [0, 3, 1]).scores(PAIRS)
    assert together.shape == (3, 3, 3)
    for row, layer in zip(together, (0, 3, 1), strict=True):
        torch.testing.assert_close(row, bertscore.load(small, [layer]).scores(PAIRS)[0])


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 999))
def test_the_matching_is_the_library_s(said, wanted, seed):
    draw = torch.Generator().manual_seed(seed)
    texts = [torch.rand(1, length + 2, 8, generator=draw) for length in (said, wanted)]
    counted = [torch.tensor([False, *[True] * length, False]) for length in (said, wanted)]
    ours = bertscore.greedy(
        *(
            bertscore.Read(torch.nn.functional.normalize(text, dim=-1), each)
            for text, each in zip(texts, counted, strict=True)
        )
    )
    masks = [torch.ones(1, len(each), dtype=torch.long) for each in counted]
    weights = [each[None].float() for each in counted]
    theirs = greedy_cos_idf(texts[1].clone(), masks[1], weights[1], texts[0].clone(), masks[0], weights[0])
    torch.testing.assert_close(ours[0], torch.cat(theirs))


def test_a_match_computed_by_hand():
    def read(*angles: float) -> bertscore.Read:
        turned = torch.tensor([0.0, *angles]) * torch.pi / 180
        counted = torch.tensor([False, *[True] * len(angles)])  # a start token at 0 degrees, in both
        return bertscore.Read(torch.stack([turned.cos(), turned.sin()], dim=1)[None], counted)

    # 60 is nearest to 90 and 120 (cos 30) or to the start (cos 60); 90 to 60, and 180 to 60 (cos 120)
    precision, recall, f1 = bertscore.greedy(read(60), read(90, 180))[0].tolist()
    assert precision == pytest.approx(3**0.5 / 2, abs=1e-6)
    assert recall == pytest.approx((3**0.5 / 2 - 1 / 2) / 2, abs=1e-6)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-6)


def test_the_same_text_scores_1_and_one_without_tokens_0(small: Path):
    scores = bertscore.load(small, [LAYER]).scores([("a b", "a b"), ("", "a b"), ("a b", " \n"), ("", "")])[0]
    torch.testing.assert_close(scores, torch.tensor([[1.0] * 3, *[[0.0] * 3] * 3]))
    assert bertscore.load(small, [LAYER]).scores([]).shape == (1, 0, 3)


def test_a_tokenizer_without_a_limit_is_cut_at_512(small: Path, tmp_path: Path):
    bert(tmp_path)
    matcher = bertscore.load(tmp_path, [LAYER])
    assert matcher.tokenizer.model_max_length > 1e29
    assert matcher.max_tokens == 512
    long = " ".join(["a"] * 2000)
    assert len(matcher.read([long])[long].counted) == 512


def test_neither_order_nor_company_changes_a_score(small: Path):
    matcher = bertscore.load(small, [LAYER])
    pairs = [(" ".join(LETTERS[:n]), " ".join(LETTERS[n:])) for n in range(1, 26)] * 8  # more than a slice
    found = matcher.scores(pairs)[0]
    assert torch.equal(found, matcher.scores(pairs)[0])
    torch.testing.assert_close(found[:25], matcher.scores(pairs[24::-1])[0].flip(0))


def test_roberta_reads_its_first_word_as_any_other(tmp_path: Path):
    compute.quiet()
    roberta(tmp_path)
    plain = RobertaTokenizer(vocab=_bytes("<s>", "<pad>", "</s>", "<unk>", "<mask>"), merges=[("Ġ", "t")])  # type: ignore[arg-type]
    plain.save_pretrained(tmp_path)
    matcher = bertscore.load(tmp_path, [1])
    start, *_ = matcher._ids("the")[1:]
    assert matcher.tokenizer.convert_ids_to_tokens(start) == "Ġt"


@pytest.mark.parametrize(("layers", "message"), [([4], "layers 0 to 3, not 4"), ([-1], "not -1")])
def test_a_layer_that_is_not_there_is_refused(small: Path, layers, message):
    with pytest.raises(ModelError, match=message):
        bertscore.load(small, layers)


def test_a_model_that_is_no_encoder_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "bart", "is_encoder_decoder": true, "num_hidden_layers": 2}')
    with pytest.raises(ModelError, match="bart is not an encoder of one stack"):
        bertscore.layers(tmp_path)


def test_an_encoder_is_a_folder_or_a_pinned_model_of_the_hub(small: Path, monkeypatch):
    assert bertscore.find(str(small)) == small
    asked = []
    monkeypatch.setattr(bertscore.hub, "fetch", lambda options, cache: asked.append(options) or small)
    assert bertscore.find(f"owner/model@{'0a' * 20}") == small
    assert (asked[0].name, asked[0].revision) == ("owner/model", "0a" * 20)
    for wrong in ("roberta-large", "owner/model@main", "owner/model"):
        with pytest.raises(ModelError, match=r"neither a folder(.|\n)*40 digits"):
            bertscore.find(wrong)


def test_layers_that_the_authors_chose():
    assert bertscore.recommended("FacebookAI/roberta-large", 24) == 17
    assert bertscore.recommended("microsoft/deberta-large-mnli", 24) == 18
    assert bertscore.recommended("section encoder", 6) == 6


def test_weights_are_named_by_their_bytes(small: Path, tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    assert bertscore.weights(tmp_path) == "ba7816bf8f01cfea"  # of the standard's own example
    assert bertscore.weights(small) != bertscore.weights(tmp_path)
