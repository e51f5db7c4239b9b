"""Where a live model's layers and their projections are, by name."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from qcqa.checkpoint.architecture import architecture_of, geometry_of
from qcqa.errors import CheckpointError

_PROJECTIONS = ("query", "key", "value", "fused", "output")


@dataclass(frozen=True, slots=True)
class AttentionNames:
    """Names of submodules of a live model.

    Parameters
    ----------
    layers : tuple of str
        The decoder layers, ``L`` of them.
    projections : tuple of dict
        For each layer its projections by role: query, key and value or fused; and output.
    """

    layers: tuple[str, ...]
    projections: tuple[dict[str, str], ...]


def attention_names(model: PreTrainedModel) -> AttentionNames:
    """Return where a model's decoder layers and projections are.

    Parameters
    ----------
    model : PreTrainedModel
        Source or converted.

    Raises
    ------
    CheckpointError
        If its family is unknown, or its modules are called otherwise.
    """
    source = model.name_or_path or type(model).__name__
    architecture, config = architecture_of(model.config.to_dict(), source=source)
    num_layers = geometry_of(architecture, config, source=source).num_layers
    modules = architecture.modules.model_dump()
    templates = {role: modules[role] for role in _PROJECTIONS if modules[role] is not None}
    known = {name for name, _ in model.named_modules()}
    for prefix in architecture.prefixes:
        # A layer's name ends with its number.
        stem = prefix + templates["output"].partition("{layer}")[0]
        if f"{stem}0" in known:
            return AttentionNames(
                layers=tuple(f"{stem}{layer}" for layer in range(num_layers)),
                projections=tuple(
                    {role: prefix + name.format(layer=layer) for role, name in templates.items()}
                    for layer in range(num_layers)
                ),
            )
    raise CheckpointError(
        f"{source} has no module {templates['output'].format(layer=0)}",
        expected=f"the names of the {architecture.family} family",
        remedy="load the model as transformers does, before adapters are added",
    )
