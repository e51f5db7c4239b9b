"""What a measured figure means: its name for people, its unit, and which direction is better."""

from dataclasses import dataclass, replace
from pathlib import Path

from qcqa.packaged import DEMO_TEXT
from qcqa.plan.plan import Measurement


@dataclass(frozen=True, slots=True)
class Metric:
    """A kind of figure.

    Parameters
    ----------
    name : str
        As in :attr:`Measurement.metric`, behind the data's name.
    label : str
        For people.
    unit : str
        Unit of the value; empty for plain numbers.
    higher_is_better : bool or None
        None where neither is, or nobody knows.
    is_share : bool
        Whether values lie between 0 and 1 and read well as percentages.
    short : str
        A label with its unit for narrow columns, where the long one does not fit.
    """

    name: str
    label: str
    unit: str = ""
    higher_is_better: bool | None = None
    is_share: bool = False
    short: str = ""

    @property
    def heading(self) -> str:
        """What a narrow column is called, with its unit."""
        return self.short or ", ".join(filter(None, (self.label, self.unit)))


def _share(name: str, label: str, *, short: str = "") -> Metric:
    return Metric(name, label, higher_is_better=True, is_share=True, short=short)


def _more(name: str, label: str, unit: str = "", *, short: str = "") -> Metric:
    return Metric(name, label, unit, higher_is_better=True, short=short)


def _less(name: str, label: str, unit: str = "", *, short: str = "") -> Metric:
    return Metric(name, label, unit, higher_is_better=False, short=short)


#: Every metric that this package measures, and the usual ones of lm-evaluation-harness.
METRICS = {
    metric.name: metric
    for metric in (
        # A text, by one model.
        _less("perplexity", "perplexity"),
        _less(
            "nll",
            "negative log-likelihood",
            "nats per token",
            short="negative log likelihood (nats)",
        ),
        _share("accuracy", "next-token accuracy"),
        # A text, a converted model against its source; differences are told from what they are of.
        _less("perplexity_ratio", "perplexity over the source's"),
        _less("kl", "KL divergence from the source", "nats per token", short="KL, nats per token"),
        _share("same_top", "same most probable token as the source", short="same top token"),
        # Speed and memory of generation.
        _less("prefill_seconds", "time of the prompt", "s", short="prompt, s"),
        _less("seconds_per_token", "time per generated token", "s", short="per token, s"),
        _more(
            "tokens_per_second",
            "generated tokens per second",
            "tokens/s",
            short="tokens per second",
        ),
        _less("cache_bytes", "KV cache", "bytes"),
        # Long enough to hold something in every way that a plan has, and no longer.
        _less("cache_bytes_per_token", "KV cache per token of a short prompt", "bytes"),
        _less("peak_bytes", "peak memory beside the weights", "bytes", short="peak memory, bytes"),
        _more(
            "prefill_speedup",
            "speed of the prompt over the source's",
            short="prompt, over source",
        ),
        _more(
            "decode_speedup",
            "speed of generation over the source's",
            short="speed, over source",
        ),
        _less("cache_ratio", "KV cache over the source's"),
        # lm-evaluation-harness.
        _share("acc", "accuracy"),
        _share("acc_norm", "accuracy, normalised by length"),
        _share("acc_mutual_info", "accuracy, normalised by the unconditional likelihood"),
        _share("exact_match", "exact match"),
        _share("f1", "F1"),
        _more("mcc", "Matthews correlation"),
        _more("bleu", "BLEU"),
        _less("brier_score", "Brier score"),
        _less("word_perplexity", "perplexity per word"),
        _less("byte_perplexity", "perplexity per byte"),
        _less("bits_per_byte", "bits per byte"),
    )
}


#: Of these, what a text yields.
OF_TEXTS = ("perplexity", "accuracy", "nll", "kl", "same_top")

#: Of these, what compares a model with its source: the source has none, and nothing has a change.
AGAINST_SOURCE = ("kl", "same_top")

#: Share of right answers of who guesses, for tasks whose choices are all of one number; the demo's
#: recall questions have 3 to 7, and this is their mean.
CHANCE = {
    "arc_challenge": 0.25,
    "arc_easy": 0.25,
    "boolq": 0.5,
    "commonsense_qa": 0.2,
    "copa": 0.5,
    "demo_minimal_pairs": 0.5,
    "demo_recall": 0.21,
    "hellaswag": 0.25,
    "logiqa": 0.25,
    "mmlu": 0.25,
    "openbookqa": 0.25,
    "piqa": 0.5,
    "race": 0.25,
    "sciq": 0.25,
    "winogrande": 0.5,
}

#: Names for people of the data that come with the package.
_DATA_LABELS = {
    "heldout": "held-out stories",
    "demo_minimal_pairs": "minimal pairs",
    "demo_recall": "recall",
    "demo_recall_open": "recall with the whole vocabulary",
}

#: Ends the names of metrics that are a model's figure less its source's.
DIFFERENCE = "_difference"

#: Ends the names of metrics that are a model's figure over its source's.
RATIO = "_ratio"


def measurement_name(data: str, metric: str) -> str:
    """Return the name of a measurement: data set and metric, parted by the last slash."""
    return f"{data}/{metric}"


def metric_of(measurement: Measurement | str) -> Metric:
    """Return what a measurement means.

    A metric that is not in the table comes back with its name as label and no better direction, so
    that any figure can be charted.

    Parameters
    ----------
    measurement : Measurement or str
        The figure or its name.
    """
    full = measurement if isinstance(measurement, str) else measurement.metric
    name = full.rpartition("/")[2]
    if name.endswith(DIFFERENCE):
        of = _metric_named(name.removesuffix(DIFFERENCE))
        return replace(of, name=name, label=f"change in {of.label}")
    return _metric_named(name)


def _metric_named(name: str) -> Metric:
    return METRICS.get(name, Metric(name, name.replace("_", " ")))


def data_of(measurement: Measurement | str) -> str:
    """Return the name of the data that a measurement was taken on; empty if it names none."""
    full = measurement if isinstance(measurement, str) else measurement.metric
    return full.rpartition("/")[0]


def data_label(name: str, *, is_file: bool = False) -> str:
    """Return what people call data: the demo's have titles, and tasks no underscores.

    Parameters
    ----------
    name : str
        As :func:`data_of` returns it.
    is_file : bool
        Whether it names a file, which is called by its name.
    """
    return _DATA_LABELS.get(name) or (name if is_file else name.replace("_", " "))


def text_label(text: str) -> str:
    """Return what people call a text that is measured on: a file by its name."""
    return data_label(DEMO_TEXT) if text == "demo" else Path(text).name


def figure_label(measurement: Measurement | str) -> str:
    """Return what people call a figure, with its data: ``held-out stories: perplexity``."""
    metric, name = metric_of(measurement), data_of(measurement)
    of = metric.name.removesuffix(DIFFERENCE).removesuffix("_ratio")
    data = data_label(name, is_file=of in OF_TEXTS)
    return f"{data}: {metric.label}" if data else metric.label


def chance_of(measurement: Measurement | str) -> float | None:
    """Return the accuracy of who guesses, or None where it is not known."""
    name = metric_of(measurement).name
    return CHANCE.get(data_of(measurement)) if name in ("acc", "acc_norm") else None
