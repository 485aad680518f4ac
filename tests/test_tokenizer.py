"""Words to ids and back, and what is refused."""

import pytest
import torch

from codi_minimal import CoDi
from codi_minimal.config import preset
from codi_minimal.inputs import PromptWarning
from codi_minimal.tokenizer import BOS, EOS, PAD, UNK, WordTokenizer, spell_articles

TOKENIZER = WordTokenizer(["a", "red", "seven"], max_words=4)


def test_ids_are_the_words_between_bos_and_eos():
    expected = [[BOS, 4, 5, 6, EOS, PAD], [BOS, 6, EOS, PAD, PAD, PAD], [BOS, 4, 4, 4, 4, EOS]]
    assert TOKENIZER.encode(["a red seven", "seven", "a a a a"]).tolist() == expected
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3) and len(TOKENIZER) == 7 and TOKENIZER.length == 6


def test_case_and_punctuation_do_not_matter_and_unknown_words_do():
    assert TOKENIZER.encode(["A RED, seven!"]).tolist() == TOKENIZER.encode(["a red seven"]).tolist()
    with pytest.warns(PromptWarning, match=r"^text: ignored 'purple', 'big'$"):
        ids = TOKENIZER.encode(["a purple seven", "a Purple big seven"])
    assert ids[0, :5].tolist() == [BOS, 4, UNK, 6, EOS]
    assert TOKENIZER.decode(ids) == ["a <unk> seven", "a <unk> <unk> seven"]


def test_decode_spells_articles_as_the_next_word_wants_them():
    words = WordTokenizer(["a", "an", "one", "eight", "in", "orange"], spell=spell_articles)
    texts = ["an one", "a eight in an orange eight", "a a one", "an"]
    assert words.decode(words.encode(texts)) == ["a one", "an eight in an orange eight", "an a one", "an"]


def test_decode_stops_at_the_first_end():
    ids = torch.tensor([[BOS, 6, EOS, 5, 5, 5], [BOS, 5, PAD, 6, EOS, PAD], [4, 5, 6, 4, 5, 6], [EOS] * 6])
    assert TOKENIZER.decode(ids) == ["seven", "red", "a red seven a red seven", ""]


@pytest.mark.parametrize(
    "texts, message",
    [
        (["a", ""], "1 to 4 words, got 0"),
        (["?!"], "1 to 4 words, got 0"),
        (["a a a a a"], "1 to 4 words, got 5"),
        ([7], "expected a string, got int"),
        (["bonjour"], "known word .*seven.*, got 'bonjour'"),
        ("a red seven", "expected a non-empty list"),
    ],
)
def test_bad_texts_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        TOKENIZER.encode(texts)


@pytest.mark.parametrize("ids", [torch.tensor([[1, 7]]), torch.tensor([[-1]]), torch.tensor([1, 2]), torch.ones(1, 2)])
def test_bad_ids_are_refused(ids):
    with pytest.raises(ValueError, match="expected"):
        TOKENIZER.decode(ids)


@pytest.mark.parametrize(
    "vocabulary, message",
    [
        ([], r"got \[\]"),
        (None, "got None"),
        ("seven", "got 'seven'"),
        (["a", "red", "a"], r"got \['a'\]"),
        (["a", 7], r"got \[7\]"),
        (["a", ["red"]], r"got \[\['red'\]\]"),
        (["a", "Red"], r"got \['Red'\]"),
        (["a", "red seven"], r"got \['red seven'\]"),
        (["a", "<unk>", ""], r"got \['<unk>', ''\]"),
    ],
)
def test_vocabularies_that_no_caption_could_use_are_refused(vocabulary, message):
    with pytest.raises(ValueError, match=f"expected a vocabulary of distinct words in lower case, {message}"):
        WordTokenizer(vocabulary)
    with pytest.raises(ValueError, match=message):
        CoDi(preset("tiny"), vocabulary)
