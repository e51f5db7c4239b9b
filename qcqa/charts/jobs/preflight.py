"""What a search takes, as names and values for people."""

from qcqa.charts.common.duration import between
from qcqa.charts.common.kv_axis import significant
from qcqa.charts.common.wording import counted
from qcqa.measure.estimate import MeasureEstimate
from qcqa.model.inspect import ModelReport
from qcqa.search.estimate import TimeEstimate
from qcqa.search.preflight import Preflight, machine_memory_bytes
from qcqa.sizes import bytes_text


def model_facts(model: ModelReport) -> dict[str, str]:
    """Return what a model is."""
    spec = model.spec
    if spec.num_kv_heads == spec.num_query_heads:
        heads = f"{spec.num_kv_heads}, one per query head"
    else:
        heads = f"{spec.num_kv_heads} of {spec.num_query_heads} query heads"
    return {
        "Family": f"{model.family} ({spec.model_type})",
        "Layers": str(spec.num_layers),
        "KV heads": heads,
        "Head dim": str(spec.head_dim),
        "Weights": f"{_count(model.num_weights)}, {spec.dtype}",
        "KV cache": f"{significant(spec.kv_bytes_per_token() / 1024)} KiB per token",
    }


def search_facts(check: Preflight) -> dict[str, str]:
    """Return what a search of the model takes, but for its time."""
    return {
        "Reads": f"{bytes_text(check.model.bytes_to_read)} of K/V projections",
        "Memory": f"about {bytes_text(check.memory_bytes)}",
        "Disk": f"about {bytes_text(check.disk_bytes)}",
    }


def time_text(time: TimeEstimate) -> str:
    """Return how long it takes, and what that is known from."""
    text = between(time.low, time.high)
    if time.is_busy:
        return f"{text}, while other work keeps this machine busy"
    if time.timed_runs:
        runs = "1 search" if time.timed_runs == 1 else f"{time.timed_runs} searches"
        return f"{text}, judging by {runs} on this machine"
    return text


def measure_facts(estimate: MeasureEstimate) -> dict[str, str]:
    """Return what measuring or generating takes, as names and values."""
    return {
        "Models": f"{estimate.models:,}",
        "Tokens": f"about {round_number(estimate.tokens):,} with each",
        "Time": measure_time_text(estimate),
        "Memory": f"about {bytes_text(estimate.memory_bytes)}",
        "Type": f"{estimate.dtype.name}: {estimate.dtype.why}",
    }


def measure_time_text(estimate: MeasureEstimate) -> str:
    """Return how long measuring or generating takes, and what that is known from."""
    text = between(estimate.low, estimate.high)
    if estimate.timed_jobs:
        return f"{text}, judging by {counted(estimate.timed_jobs, 'job')} on this machine"
    return f"{text}, by counting operations"


def measure_sentence(estimate: MeasureEstimate) -> str:
    """Return the same in a sentence, for a form."""
    return (
        f"About {round_number(estimate.tokens):,} tokens with each, in {estimate.dtype.name}: "
        f"{measure_time_text(estimate)}; about {bytes_text(estimate.memory_bytes)} of memory."
    )


def memory_warning(estimate: MeasureEstimate) -> str | None:
    """Return a sentence where models would not fit this machine's memory; None where they do."""
    there = machine_memory_bytes()
    if there is None or estimate.memory_bytes <= there:
        return None
    return (
        f"It needs about {bytes_text(estimate.memory_bytes)} of memory and this machine has "
        f"{bytes_text(there)}: it will probably not come to an end."
    )


def round_number(number: int) -> int:
    """Return a number with the two digits that an estimate has."""
    digits = max(0, len(str(number)) - 2)
    return round(number, -digits)


def _count(weights: int) -> str:
    for unit, power in (("billion", 9), ("million", 6)):
        if weights >= 10**power:
            return f"{weights / 10**power:.3g} {unit}"
    return f"{weights:,}"
