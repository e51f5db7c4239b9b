"""The model card of a converted checkpoint."""

import json
from collections.abc import Sequence
from pathlib import Path

from qcqa.conversion.companions import Companions
from qcqa.conversion.travelling.releases_qcqa import SUPPORTED
from qcqa.plan.budget import GIB
from qcqa.plan.metric import figure_label
from qcqa.plan.plan import Plan
from qcqa.reduce.groups.grouping import Grouping

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

{source} with attention heads that share keys and values, chosen by **{method}** and merged by
**{merge}**{calibrated}. Weights and KV cache hold the shared heads only. Made with QCQA Explorer
(QCQA: arXiv 2406.10247).

| | this model | source |
|---|---|---|
| K and V heads, over all layers | {heads} | {source_heads} |
| KV cache per token ({dtype}) | {bytes} bytes | {source_bytes} bytes |
| KV cache of {context} tokens | {gib:.3g} GiB | {source_gib:.3g} GiB |
| KV ratio | {ratio} | 1 |

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

| layer | key heads kept: heads that share one | value heads kept: heads that share one |
|---|---|---|
{layers}

Where the plan came from:

```json
{provenance}
```
"""

_NOT_MEASURED = """\
Nothing was measured on this plan. WSE is a distance between weights, not an accuracy: evaluate
the model before you use it."""


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
        f"| {number} | {_groups(layer.key)} | {_groups(layer.value)} |"
        for number, layer in enumerate(plan.groupings)
    ]
    source_bytes = spec.kv_bytes_per_token()
    return _CARD.format(
        base_model=f"base_model: {name}\n" if is_hub_id else "",
        releases=SUPPORTED,
        name=name,
        source=f"{name} (revision {spec.revision})" if is_hub_id else name,
        method=plan.method,
        merge=plan.merge,
        calibrated=_calibrated(plan),
        heads=plan.num_stored_heads,
        source_heads=spec.num_stored_heads,
        dtype=spec.dtype,
        bytes=plan.kv_bytes_per_token,
        source_bytes=source_bytes,
        context=_CONTEXT,
        gib=plan.kv_bytes_per_token * _CONTEXT / GIB,
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


def _calibrated(plan: Plan) -> str:
    """Return what a merge rests on beside the weights, for people."""
    if plan.calibration is None:
        return ""
    text = f"{plan.calibration.num_tokens:,} tokens of calibration text"
    return f" on {text}, and refitted on it" if plan.refit else f" on {text}"


def _groups(grouping: Grouping) -> str:
    """Return the groups as text, those of one head left out."""
    shared = [" ".join(map(str, group)) for group in grouping.groups if len(group) > 1]
    if not shared:
        return "none shared"
    return f"{grouping.num_groups}: " + ", ".join(f"({heads})" for heads in shared)


def _quality(plan: Plan) -> str:
    """Return the measured figures as a table, or that there are none; then the WSE."""
    predicted = plan.predicted
    wse = f"WSE {predicted.wse:.6g}, {predicted.relative_wse:.4g} of the weights' squared norm"
    if predicted.wse_lower_bound is not None:
        wse += f"; no plan of this size has less than {predicted.wse_lower_bound:.6g}"
    if not plan.measured:
        return f"{_NOT_MEASURED}\n\n{wse}."
    rows = [
        f"| {figure_label(figure)} | {figure.value:.6g} | {_or_dash(figure.standard_error)} | "
        f"{_or_dash(figure.sample_count)} |"
        for figure in plan.measured
    ]
    table = ["| measured | value | standard error | samples |", "|---|---|---|---|", *rows]
    return "\n".join(table) + f"\n\n{wse} (a distance between weights, not an accuracy)."


def _or_dash(number: float | None) -> str:
    return "—" if number is None else f"{number:.4g}"
