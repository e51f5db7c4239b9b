"""Speed of generation and bytes of the cache: source, grouped-query attention, unequal groups."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from gpu_checks.models import alone, build, like_gqa, plan_for, random_tokens, unequal
from gpu_checks.parts import Row, checked
from gpu_checks.sizes import Sizes
from qcqa.conversion.live import converted_copy
from qcqa.measure.benchmark import DecodeLoad
from qcqa.measure.cache_bytes import cache_bytes
from qcqa.measure.speed import measure_decode_speed
from qcqa.plan.budget import CacheLoad
from qcqa.plan.plan import Plan

#: Of the memory that is free: what a step needs beside the source's cache takes the rest.
_CACHE_SHARE = 0.35
#: A context that is what fits is a multiple of this.
_CONTEXT_STEP = 16
#: The allocator leaves a rest of up to so many bytes of a large block with the tensor in it.
_REST = 2**20
#: Tokens read one by one after the prompt.
_STEPS = 4


@dataclass(frozen=True)
class Decoding:
    """Models of which speed and cache are measured, made when they are first asked for."""

    sizes: Sizes
    device: torch.device

    @cached_property
    def models(self) -> dict[str, tuple[PreTrainedModel, Plan]]:
        """The source, and two models with half of its cache, each with its plan."""
        shape, rng = self.sizes.decoding, np.random.default_rng(0)
        source = build(shape, dtype=torch.bfloat16, device=self.device)
        layers = {
            "source": [alone(shape.heads)] * shape.layers,
            "GQA": [like_gqa(shape.heads)] * shape.layers,
            "unequal groups": [unequal(shape.heads, rng) for _ in range(shape.layers)],
        }
        plans = {name: plan_for(source, some) for name, some in layers.items()}
        if plans["GQA"].kv_bits != plans["unequal groups"].kv_bits:
            raise AssertionError("the two plans must have the same bytes")
        return {
            name: (source if name == "source" else converted_copy(source, plan), plan)
            for name, plan in plans.items()
        }

    def speed(self, batch: int, context: int | None) -> Iterator[Row]:
        """Time a step of each model at a load."""
        sizes, models = self.sizes, self.models
        load = DecodeLoad(context or self._context_that_fits(batch), batch, sizes.new_tokens)
        found = measure_decode_speed(
            {name: model for name, (model, _) in models.items()}, load, rounds=sizes.rounds
        )
        source = found["source"]
        for name, speed in found.items():
            speedup = next(
                one.value
                for one in speed.compared_with(source)
                if one.metric.endswith("/decode_speedup")
            )
            milliseconds = 1e3 * speed.seconds_per_token.median
            promised = _promised(models[name][1], load.context_tokens, batch)
            peak = "" if speed.peak_bytes is None else f", peak {speed.peak_bytes / 2**30:.1f} GiB"
            yield checked(
                f"{name}, context {load.context_tokens}",
                speed.cache_bytes == promised,
                f"{milliseconds:.2f} ms a step, {speed.tokens_per_second.median:.0f} tokens/s, "
                f"{speedup:.2f} x the source, "
                f"cache {speed.cache_bytes / 2**20:.1f} MiB{peak}",
                context_tokens=load.context_tokens,
                batch_size=batch,
                milliseconds_per_step=milliseconds,
                interquartile_milliseconds=1e3 * speed.seconds_per_token.interquartile_range,
                prefill_seconds=speed.prefill_seconds.median,
                tokens_per_second=speed.tokens_per_second.median,
                decode_speedup=speedup,
                cache_bytes=speed.cache_bytes,
                promised_bytes=promised,
                **({} if speed.peak_bytes is None else {"peak_bytes": speed.peak_bytes}),
            )

    def bytes_are_promised(self) -> Iterator[Row]:
        """Count the bytes of a cache three times: promised, in its tensors, and allocated."""
        batch, context = self.sizes.cache_load
        for name, (model, plan) in self.models.items():
            _filled(model, batch, context)  # what is allocated once only is there from now on
            before = self._allocated()
            cache = _filled(model, batch, context)
            after = self._allocated()
            promised = _promised(plan, context, batch)
            held = cache_bytes(cache)
            figure = f"{held} bytes, promised {promised}"
            yield checked(
                f"{name}, tensors",
                held == promised,
                figure,
                held_bytes=held,
                promised_bytes=promised,
            )
            if before is None or after is None:
                figure = "this device does not tell what is allocated"
                yield Row(f"{name}, allocated", "not applicable", figure)
                continue
            taken, slack = after - before, 2 * plan.model.num_layers * _REST
            figure = f"{taken} bytes, promised {promised}"
            passed = promised <= taken <= promised + slack
            yield checked(
                f"{name}, allocated", passed, figure, allocated_bytes=taken, promised_bytes=promised
            )
            del cache

    def _allocated(self) -> int | None:
        """Return the bytes that are allocated on the device; None where torch cannot tell."""
        if self.device.type != "cuda":
            return None
        gc.collect()
        torch.cuda.synchronize(self.device)
        return torch.cuda.memory_allocated(self.device)

    def _context_that_fits(self, batch: int) -> int:
        longest = self.sizes.longest_context
        if self.device.type != "cuda":
            return longest
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(self.device)
        a_token = _promised(self.models["source"][1], 1, batch)
        fits = int(_CACHE_SHARE * free / a_token) // _CONTEXT_STEP * _CONTEXT_STEP
        return max(_CONTEXT_STEP, min(longest, fits))


def _promised(plan: Plan, context: int, batch: int) -> int:
    load = CacheLoad(context, batch, plan.model.dtype)
    return load.cache_bytes(plan.model, plan.kv_bits)


@torch.no_grad()
def _filled(model: PreTrainedModel, batch: int, context: int) -> Cache:
    """Return a cache that holds a context: a prompt, and some tokens one by one."""
    ids = random_tokens(model, (batch, context))
    options = {"use_cache": True, "logits_to_keep": 1}
    cache = model(input_ids=ids[:, :-_STEPS], **options).past_key_values
    for place in range(context - _STEPS, context):
        cache = model(
            input_ids=ids[:, place : place + 1], past_key_values=cache, **options
        ).past_key_values
    return cache
