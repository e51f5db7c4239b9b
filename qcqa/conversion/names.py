"""Where a live model's layers and their projections are, by name."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from qcqa.conversion.travelling.section_qcqa import MAP_NAMES
from qcqa.errors import CheckpointError
from qcqa.model.families import architecture_of
from qcqa.model.geometry import geometry_of

_PROJECTIONS = ("query", "key", "value", "fused", "output")


@dataclass(frozen=True, slots=True)
class AttentionNames:
    """Names of submodules of a live model.

    Parameters
    ----------
    layers : tuple of str
        The decoder layers, ``L`` of them.
    prefix : str
        What these names begin with, and names in architecture files do not.
    projections : tuple of dict
        For each layer its projections by role: query, key and value or fused; and output.
    key_norms : tuple of str or None
        The norm of each layer's keys.
    maps : tuple of tuple of str
        The linear maps of each layer, in a converted model.
    """

    layers: tuple[str, ...]
    prefix: str
    projections: tuple[dict[str, str], ...]
    key_norms: tuple[str | None, ...]
    maps: tuple[tuple[str, ...], ...]

    def merged_modules(self, layer: int) -> list[str]:
        """Return the modules of a layer that a reduction may change, or add."""
        norm = self.key_norms[layer]
        return [*self.projections[layer].values(), *([norm] if norm else []), *self.maps[layer]]


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
            projection = templates.get("key") or templates["fused"]
            attention = prefix + projection.rpartition(".")[0]
            return AttentionNames(
                layers=tuple(f"{stem}{layer}" for layer in range(num_layers)),
                prefix=prefix,
                projections=tuple(
                    {role: prefix + name.format(layer=layer) for role, name in templates.items()}
                    for layer in range(num_layers)
                ),
                key_norms=tuple(
                    _present(known, prefix, modules["key_norm"], layer)
                    for layer in range(num_layers)
                ),
                maps=tuple(
                    tuple(
                        name
                        for of_site in MAP_NAMES
                        if (name := f"{attention.format(layer=layer)}.{of_site}") in known
                    )
                    for layer in range(num_layers)
                ),
            )
    raise CheckpointError(
        f"{source} has no module {templates['output'].format(layer=0)}",
        expected=f"the names of the {architecture.family} family",
        remedy="load the model as transformers does, before adapters are added",
    )


def _present(known: set[str], prefix: str, template: str | None, layer: int) -> str | None:
    """Return the name of a layer's module if the model has it: norms may be switched off."""
    name = None if template is None else prefix + template.format(layer=layer)
    return name if name in known else None
