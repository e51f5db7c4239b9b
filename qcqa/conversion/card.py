"""The model card of a converted checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path

from qcqa.conversion.companions import Companions
from qcqa.conversion.travelling.releases_qcqa import SUPPORTED
from qcqa.plan.budget import GIB
from qcqa.plan.metric import figure_label
from qcqa.plan.plan import Plan
from qcqa.reduce.choice import packing_of, stored_at
from qcqa.reduce.picture import SitePicture
from qcqa.reduce.registry import stored_words
from qcqa.reduce.stored import COST_CONTEXT

#: Tokens for which the card says the size of the cache.
_CONTEXT = 32768

_CARD = """\
---
library_name: transformers
pipeline_tag: text-generation
{base_model}tags:
- qcqa
- kv-cache
---

# {name} at a KV ratio of {ratio}

{source} {what}, chosen by **{method}**. {how}
Made with QCQA Explorer (QCQA: arXiv 2406.10247).

| | this model | source |
|---|---|---|
| K and V heads, over all layers | {heads} | {source_heads} |{channels}
| KV cache per token ({dtype}{at}) | {bytes:g} bytes | {source_bytes} bytes |
| KV cache of {context} tokens | {gib:.3g} GiB | {source_gib:.3g} GiB |
| KV ratio | {ratio} | 1 |
{mapping}{packing}
## Quality

{quality}

## How to load it

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this folder"{trusted})
model = AutoModelForCausalLM.from_pretrained("this folder", trust_remote_code=True)
```

`trust_remote_code` runs `modeling_qcqa.py` and the files that it imports, which lie beside the
weights and need nothing but torch and {releases}.
{source_code}

With QCQA Explorer installed, `qcqa.load("this folder")` runs no code of this folder. The licence of
the source applies.
{left_out}
## How it was made

`qcqa convert {name} --plan plan.json{option}`, with the `plan.json` that lies beside this card.

| layer | {of_keys} | {of_values} |
|---|---|---|
{layers}

Where the plan came from:

```json
{provenance}
```
"""

_NOT_MEASURED = "Nothing was measured on this plan: evaluate the model before you use it."

_MAPPING = """
## What is cached

Layers cache keys, values or both as {mapped_as}. Linear maps, whose tensors lie beside a layer's
weights, make them of its heads when tokens are stored, and its heads of them when they are read.
Keys are mapped within each rotary plane, so that what is stored is turned already. Weights are
projected to what the maps keep: without a cache the model computes the same.
"""

_PACKING = """
## {title}

Keys and values are packed as integers, with scales for groups of them that the bytes above count:

{ways}
"""

_NO_CODE = "Nothing else here is code."
_WITH_CODE = """\
Passed to `AutoTokenizer` or `AutoProcessor` it also runs code of the source's own: {files}."""


def model_card(plan: Plan, companions: Companions | None = None) -> str:
    """Return the text of the model card: what it is, what it costs, how to load and remake it.

    Parameters
    ----------
    plan : Plan
        By which the model was made.
    companions : Companions, optional
        What came along from the source; by default data alone.
    """
    companions = companions or Companions()
    spec = plan.model
    is_hub_id = spec.revision is not None
    # A local folder's path means nothing to others.
    name = spec.source if is_hub_id else Path(spec.source).name
    layers = [
        f"| {number} | {_kept(picture.key, plan)} | {_kept(picture.value, plan)} |"
        for number, picture in enumerate(plan.pictures)
    ]
    ends = [] if not plan.shares_heads else ["heads kept: heads that share one"]
    ends += [plan.mapped_as] if plan.has_maps else []
    ends += ["packing"] if plan.has_codecs else []
    of_keys, of_values = (f"{site} {', '.join(ends)}".strip() for site in ("key", "value"))
    source_bytes = spec.kv_bytes_per_token()
    return _CARD.format(
        base_model=f"base_model: {name}\n" if is_hub_id else "",
        releases=SUPPORTED,
        name=name,
        source=f"{name} (revision {spec.revision})" if is_hub_id else name,
        method=plan.method,
        what=_what(plan),
        how=_how(plan),
        at=f", at {COST_CONTEXT} tokens" if plan.has_codecs else "",
        mapping=_MAPPING.format(mapped_as=plan.mapped_as) if plan.has_maps else "",
        packing=_packing(plan),
        of_keys=of_keys,
        of_values=of_values,
        heads=plan.num_stored_heads,
        channels=_channels(plan),
        source_heads=spec.num_stored_heads,
        dtype=spec.dtype,
        bytes=plan.kv_bytes_per_token,
        source_bytes=source_bytes,
        context=_CONTEXT,
        gib=plan.cache_bytes(_CONTEXT, dtype=spec.dtype) / GIB,
        source_gib=source_bytes * _CONTEXT / GIB,
        ratio=f"{plan.kv_ratio:.4g}",
        quality=_quality(plan),
        layers="\n".join(layers),
        trusted=", trust_remote_code=True" if companions.code else "",
        source_code=_source_code(companions.code),
        option=" --with-source-code" if companions.code else "",
        left_out="".join(f"\nNot taken along: {line}.\n" for line in companions.left_out),
        provenance=json.dumps(dict(plan.provenance), indent=2),
    )


def _source_code(files: Sequence[str]) -> str:
    """Return what runs beside this project's code, for people."""
    names = ", ".join(f"`{name}`" for name in files)
    return _WITH_CODE.format(files=names) if files else _NO_CODE


def _what(plan: Plan) -> str:
    """Return what the plan makes of the source, for people."""
    parts = ["with attention heads that share keys and values"] if plan.shares_heads else []
    if words := stored_words([site for layer in plan.layers for site in layer.sites]):
        parts.append(f"with a KV cache in {words}")
    return " and ".join(parts) or "as it is"


def _how(plan: Plan) -> str:
    """Return what that changes, for people."""
    if not plan.changed_layers:
        return "The weights are the source's, unchanged."
    changes = []
    if plan.shares_heads:
        merged = f"Heads are merged by **{plan.merge}**{_calibrated(plan)}"
        changes.append(f"{merged}; weights and KV cache hold the shared heads only.")
    if plan.has_maps:
        changes.append(f"Weights are projected to what {plan.mapped_as} keep{_calibrated(plan)}.")
    return " ".join(changes)


def _channels(plan: Plan) -> str:
    """Return a row of the table for what maps leave; nothing without maps."""
    if not plan.has_maps:
        return ""
    channels = sum(stored.elements for layer in plan.layers for stored in layer.stored(plan.model))
    of_source = plan.model.num_stored_heads * plan.model.head_dim
    return f"\n| K and V dimensions of a token | {channels} | {of_source} |"


def _packing(plan: Plan) -> str:
    """Return how tokens are packed, a line for each way; nothing where they are not."""
    ways = {
        (role, packing): stored_at((packing,), plan.model)
        for layer in plan.layers
        for role, site in zip(("keys", "values"), layer.sites, strict=True)
        if (packing := packing_of(site))
    }
    lines = []
    for (role, choice), stored in ways.items():
        settings = (f"{name} {json.dumps(value)}" for name, value in choice.to_json().items())
        lines.append(
            f"- {role} in **{choice.label}**: the newest {stored.window} tokens, and what is no "
            f"whole block of {stored.block} yet, stay in full (`{', '.join(settings)}`)"
        )
    title = "How it is packed" if plan.has_maps else "What is cached"
    return _PACKING.format(title=title, ways="\n".join(lines)) if lines else ""


def _calibrated(plan: Plan) -> str:
    """Return what a merge rests on beside the weights, for people."""
    if plan.calibration is None:
        return ""
    text = f"{plan.calibration.num_tokens:,} tokens of calibration text"
    return f" on {text}, and refitted on it" if plan.refit else f" on {text}"


def _kept(picture: SitePicture, plan: Plan) -> str:
    """Return what is kept of a site: its heads where any share, and how they are packed."""
    parts = [_heads(picture)] if plan.shares_heads else []
    return "; ".join(filter(None, [*parts, picture.words])) or "as in the source"


def _heads(picture: SitePicture) -> str:
    """Return which heads share, those left out that do not."""
    shared = [" ".join(map(str, heads)) for heads in picture.readers if len(heads) > 1]
    if not shared:
        return "none shared"
    return f"{picture.num_stored}: " + ", ".join(f"({heads})" for heads in shared)


def _quality(plan: Plan) -> str:
    """Return the measured figures, or that there are none; then the WSE where heads share."""
    predicted = plan.predicted
    if not plan.shares_heads:
        return _figures(plan) or _NOT_MEASURED
    wse = f"WSE {predicted.wse:.6g}, {predicted.relative_wse:.4g} of the weights' squared norm"
    if predicted.wse_lower_bound is not None:
        wse += f"; no plan of this size has less than {predicted.wse_lower_bound:.6g}"
    figures = _figures(plan) or _NOT_MEASURED
    return f"{figures}\n\n{wse} (a distance between weights, not an accuracy)."


def _figures(plan: Plan) -> str:
    """Return the measured figures as a table; nothing where there are none."""
    rows = [
        f"| {figure_label(figure)} | {figure.value:.6g} | {_or_dash(figure.standard_error)} | "
        f"{_or_dash(figure.sample_count)} |"
        for figure in plan.measured
    ]
    table = ["| measured | value | standard error | samples |", "|---|---|---|---|", *rows]
    return "\n".join(table) if rows else ""


def _or_dash(number: float | None) -> str:
    return "—" if number is None else f"{number:.4g}"
