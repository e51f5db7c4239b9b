"""Which architecture a model has, by its config."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from qcqa.errors import UnsupportedModelError
from qcqa.model.architecture import Architecture
from qcqa.model.config_keys import Config, nested

#: Where a multimodal checkpoint keeps its language model.
NESTED_PREFIXES = ("language_model.", "model.language_model.", "model.", "")


@cache
def known_architectures() -> Mapping[str, Architecture]:
    """Return the architecture of every ``model_type`` that is known."""
    folder = files("qcqa.model") / "architectures"
    architectures = [
        Architecture.model_validate_json(file.read_text(encoding="utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    ]
    return {
        name: architecture for architecture in architectures for name in architecture.model_types
    }


def architecture_of(config: Config, *, source: str) -> tuple[Architecture, Config]:
    """Return a model's architecture and the part of its config that describes the decoder.

    Parameters
    ----------
    config : mapping
        Content of ``config.json``.
    source : str
        What error messages call the model.

    Returns
    -------
    architecture : Architecture
        Variants applied, prefixes as the config's nesting wants them.
    decoder_config : mapping
        ``config`` itself, or its ``text_config`` in a multimodal model, with what it leaves out
        filled in as transformers does.

    Raises
    ------
    UnsupportedModelError
        If no data file covers the model, or it has a second attention, to an encoder.
    """
    known = known_architectures()
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in known:
        return _of_type(model_type, config, source)
    text_config = nested(config, "text_config")
    text_type = text_config.get("model_type") or _types_inside().get(str(model_type))
    if isinstance(text_type, str) and text_type in known:
        architecture, filled = _of_type(text_type, text_config, source)
        prefixes = tuple(dict.fromkeys(_nested_prefixes(architecture)))
        return architecture.model_copy(update={"prefixes": prefixes}), filled
    raise UnsupportedModelError(
        f"model_type {model_type!r} of {source} is not known",
        expected=f"one of {', '.join(sorted(known))}",
        remedy="add a file to qcqa/model/architectures that says where its K and V "
        "projections are; models without plain K and V heads (MLA, linear attention) cannot be",
    )


def refuse_converted(config: Config, source: str) -> None:
    """Refuse a model whose heads share already.

    Raises
    ------
    UnsupportedModelError
        If the config has a section ``qcqa``.
    """
    if config.get("qcqa"):
        raise UnsupportedModelError(
            f"{source} has been converted already",
            expected="a model whose heads do not share yet",
            remedy="use its source",
        )


@cache
def _types_inside() -> Mapping[str, str]:
    """Return the ``model_type`` of the language model in every multimodal one that has a usual."""
    return {
        outer: name
        for name, architecture in known_architectures().items()
        for outer in architecture.model_types[name].inside
    }


def _of_type(model_type: str, config: Config, source: str) -> tuple[Architecture, Config]:
    architecture = known_architectures()[model_type]
    filled = {**architecture.model_types[model_type].defaults, **config, "model_type": model_type}
    _refuse_cross_attention(filled, source)
    return architecture.for_config(filled), filled


def _refuse_cross_attention(config: Config, source: str) -> None:
    if config.get("add_cross_attention"):
        raise UnsupportedModelError(
            f"{source} is the decoder of an encoder-decoder (add_cross_attention in its config)",
            expected="a decoder that attends to its own tokens only",
            remedy="its cross-attention has keys and values of its own, which no plan covers",
        )


def _nested_prefixes(architecture: Architecture) -> Iterator[str]:
    for outer in NESTED_PREFIXES:
        for inner in architecture.prefixes:
            yield outer + inner
