"""The word-level tokenizer of the demo model, built from the lexicon."""

from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from qcqa.demo.lexicon import vocabulary

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD, BOS, EOS, UNK = range(4)
# A size that is a multiple of 64 suits matrix kernels; the spare rows are never used.
_MULTIPLE = 64


@cache
def word_ids() -> dict[str, int]:
    """Return the token id of every word and mark; special tokens first."""
    return {word: index for index, word in enumerate((*SPECIAL, *vocabulary()))}


def vocabulary_size() -> int:
    """Return the number of rows of the embedding, rounded up."""
    return -(-len(word_ids()) // _MULTIPLE) * _MULTIPLE


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Return the tokenizer: words, ``'s`` and marks; a ``<bos>`` goes in front of each text."""
    core = Tokenizer(models.WordLevel(word_ids(), unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"'s|<\w+>|\w+|[^\w\s]"), behavior="removed", invert=True
    )
    core.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", BOS)]
    )
    # The WordPiece decoder joins with blanks and closes up those in front of marks.
    core.decoder = decoders.Sequence(
        [
            decoders.WordPiece(prefix="##", cleanup=True),
            decoders.Fuse(),
            decoders.Replace("“ ", "“"),
            decoders.Replace(" ”", "”"),
            decoders.Replace(" :", ":"),
        ]
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers does not type it
        tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
        unk_token="<unk>", model_max_length=512, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def readable(words: list[str]) -> str:
    """Return the words as running text, the way the tokenizer decodes them."""
    text = " ".join(words)
    for mark in (".", ",", "?", "!", ":", "”", "'s"):
        text = text.replace(f" {mark}", mark)
    return text.replace("“ ", "“")


def save_tokenizer(directory: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
    build_tokenizer().save_pretrained(directory)
