"""Whether a checkpoint is a language model: one without that head would answer at random."""

import re
from collections.abc import Collection

from qcqa.errors import UnsupportedModelError
from qcqa.model.config_keys import Config

_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.weight$")
_WITH_HEAD = re.compile(
    r"ForCausalLM|LMHead|DoubleHeads|ForConditionalGeneration|ForImageTextToText|ForVision2Seq"
    r"|ForMultimodalLM"
)
_OTHER_HEAD = re.compile(r"For[A-Z]\w+$")


def missing_head(config: Config, decoder_config: Config, tensors: Collection[str]) -> str | None:
    """Return in words why a checkpoint has no language-model head, or None if it has one.

    A tensor of the head decides; then whether the config names a class with another head, as of a
    classifier; then whether the head is the embedding, which a base model has too.

    Parameters
    ----------
    config, decoder_config : mapping
        All of ``config.json``, and the part that describes the decoder, defaults filled in.
    tensors : collection of str
        Names of all tensors.
    """
    if any(_HEAD.search(name) for name in tensors):
        return None
    named = config.get("architectures")
    classes = [str(name) for name in named] if isinstance(named, list) else []
    is_other = [_OTHER_HEAD.search(name) and not _WITH_HEAD.search(name) for name in classes]
    if classes and all(is_other):
        return f"its config names {classes[0]}"
    if _is_tied(config, decoder_config):
        return None
    return "it has no lm_head.weight, and its config does not tie it to the embedding"


def require_head(missing: str | None, source: str) -> None:
    """Refuse a model that is to be run or written as a language model, and is none.

    Parameters
    ----------
    missing : str or None
        As :func:`missing_head` says it.
    source : str
        What the error calls the model.

    Raises
    ------
    UnsupportedModelError
        If it has no language-model head.
    """
    if missing is not None:
        raise UnsupportedModelError(
            f"{source} has no language-model head ({missing}): its answers would be random",
            expected="a language model, such as ...ForCausalLM",
            remedy="use the language model that it was made from",
        )


def _is_tied(config: Config, decoder_config: Config) -> bool:
    if "text_config" in config and "tie_word_embeddings" not in config:
        return True  # by most multimodal models' own defaults
    return bool(config.get("tie_word_embeddings") or decoder_config.get("tie_word_embeddings"))
