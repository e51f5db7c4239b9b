"""A converted model computes what its dense twin does, up to rounding: logits and texts."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import is_flash_attn_2_available

import qcqa
from gpu_checks.models import (
    build,
    dense_twin,
    mixed_layers,
    plan_for,
    random_tokens,
    relative_error,
)
from gpu_checks.parts import Row, checked
from gpu_checks.sizes import Sizes
from qcqa.plan.plan import Plan

#: A model may be so many times as far from the exact logits as its twin is by rounding alone,
_MOST_ROUNDING = 2.0
#: and where that is next to nothing, this far.
_LEAST_ERROR = 1e-6
#: Tokens that are read one by one, through the cache.
_STEPS = 3


def logits_agree(
    sizes: Sizes, device: torch.device, dtype: torch.dtype, attention: str
) -> Iterator[Row]:
    """Compare logits, live and from disk; a prompt at once, and then tokens through the cache."""
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        yield Row("", "not applicable", "flash-attn is not installed for this device")
        return
    source = build(sizes.compared, dtype=dtype, device=device, attention=attention)
    plan = plan_for(source, mixed_layers(sizes.compared))
    twin = dense_twin(source, plan)
    ids = random_tokens(source, (2, sizes.prompt_tokens))
    exact = _logits(_exact(twin), ids)
    rounding = relative_error(_logits(twin, ids), exact)
    limit = _MOST_ROUNDING * rounding + _LEAST_ERROR
    apart = relative_error(_logits(source, ids), exact)
    yield checked(
        "dense twin",
        # If the source came as near, the rows below would say nothing.
        rounding < 0.1 and apart > 5 * limit,
        f"rounding {rounding:.1e}; the source is {apart:.1e} away",
        rounding=rounding,
        source_error=apart,
    )
    with TemporaryDirectory() as folder:
        for name, model in _converted(source, plan, Path(folder), attention):
            error = relative_error(_logits(model, ids), exact)
            figure = f"error {error:.1e}, at most {limit:.1e}"
            yield checked(name, error <= limit, figure, error=error, limit=limit)


def texts_agree(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> Iterator[Row]:
    """Compare greedy texts of two prompts, the first padded on the left.

    In float32 they are the same. In coarser types two tokens' scores may be equal, or nearly: there
    texts may part where the exact scores are no further apart than rounding moves them.
    """
    source = build(sizes.compared, dtype=dtype, device=device)
    plan = plan_for(source, mixed_layers(sizes.compared))
    twin = dense_twin(source, plan)
    converted = qcqa.convert(deepcopy(source), plan)
    ids = random_tokens(source, (2, sizes.prompt_tokens))
    mask = torch.ones_like(ids)
    padding = sizes.prompt_tokens // 3
    ids[0, :padding] = mask[0, :padding] = 0
    texts = [_text(model, ids, mask, sizes.written_tokens) for model in (twin, converted)]
    is_same = (texts[0] == texts[1]).cumprod(dim=1).bool()  # (2, written)
    figure = f"{int(is_same.sum())} of {is_same.numel()} tokens are the same"
    tokens = {"tokens_same": int(is_same.sum()), "tokens": is_same.numel()}
    if dtype == torch.float32:
        yield checked("texts", bool(is_same.all()), figure, **tokens)
        return
    gap, rounding = _gap_where_texts_part(twin, texts, is_same, ids, mask)
    limit = 6 * rounding
    figure += f"; scores where they part {gap:.1e} apart, by rounding up to {limit:.1e}"
    yield checked("texts", gap <= limit, figure, **tokens, gap=gap, limit=limit)


def _converted(
    source: PreTrainedModel, plan: Plan, folder: Path, attention: str
) -> Iterator[tuple[str, PreTrainedModel]]:
    """Yield what a plan makes of a model, in every way that there is."""
    yield "live", qcqa.convert(deepcopy(source), plan)
    source.save_pretrained(folder / "source")
    qcqa.convert_checkpoint(str(folder / "source"), plan, folder / "converted")
    opened = qcqa.load(folder / "converted", attn_implementation=attention)
    yield "from disk", opened.to(source.device)
    elsewhere = AutoModelForCausalLM.from_pretrained(
        folder / "converted", trust_remote_code=True, dtype="auto", attn_implementation=attention
    )
    yield "from disk, by its own code", elsewhere.to(source.device).eval()


def _exact(twin: PreTrainedModel) -> PreTrainedModel:
    """Return a model in double precision."""
    exact = deepcopy(twin)
    # Eager attention makes no numbers of padding in this type.
    exact.set_attn_implementation("sdpa")
    return exact.double()


@torch.no_grad()
def _logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the logits of all tokens; the last ones are read one by one."""
    output = model(input_ids=ids[:, :-_STEPS], use_cache=True)
    parts = [output.logits]
    for place in range(ids.shape[1] - _STEPS, ids.shape[1]):
        output = model(
            input_ids=ids[:, place : place + 1],
            past_key_values=output.past_key_values,
            use_cache=True,
        )
        parts.append(output.logits)
    return torch.cat(parts, dim=1)


def _text(model: PreTrainedModel, ids: Tensor, mask: Tensor, num_tokens: int) -> Tensor:
    written = model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=num_tokens,
        min_new_tokens=num_tokens,
        pad_token_id=0,
    )
    return written[:, ids.shape[1] :]


@torch.no_grad()
def _gap_where_texts_part(
    twin: PreTrainedModel, texts: list[Tensor], is_same: Tensor, ids: Tensor, mask: Tensor
) -> tuple[float, float]:
    """Return the widest gap of exact scores where texts part, and how far rounding moves scores."""
    whole = torch.cat((ids, texts[0]), dim=1)
    attended = torch.cat((mask, torch.ones_like(texts[0])), dim=1)
    positions = (attended.cumsum(dim=1) - 1).clamp(min=0)
    exact, rounded = (
        model(input_ids=whole, attention_mask=attended, position_ids=positions)
        .logits[:, ids.shape[1] - 1 : -1]
        .double()
        for model in (_exact(twin), twin)
    )  # (2, written, vocabulary)
    gap = 0.0
    for row, same in enumerate(is_same):
        if not same.all():
            place = int(same.sum())
            scores = exact[row, place]
            gap = max(gap, abs(float(scores[texts[0][row, place]] - scores[texts[1][row, place]])))
    return gap, float((rounded - exact).square().mean().sqrt())
