"""What measuring or generating takes before it starts: tokens, time and memory.

Floating-point operations over the speed of :mod:`qcqa.search.method_seconds`, as for searches;
what earlier jobs took on this machine corrects it, see :mod:`qcqa.jobs.pace`. Nothing is loaded.
"""

from dataclasses import dataclass, replace

from qcqa.measure.benchmark import Benchmark, DecodeLoad
from qcqa.model.dtype import ChosenDtype
from qcqa.model.inspect import ModelReport
from qcqa.model.spec import DTYPE_BYTES
from qcqa.packaged import DEMO_TEXT, demo_model_folder
from qcqa.search.method_seconds import (
    CALIBRATION_TOKENS,
    calibration_seconds,
    model_speed,
    refit_seconds,
)

#: As :mod:`qcqa.text.running`, :mod:`~qcqa.text.scoring` and :mod:`~qcqa.measure.speed`
#: have them; they load torch.
_LOGITS_OF_A_BATCH, _MOST_TOKENS_OF_A_BATCH, _CHUNK_ELEMENTS, _ROUNDS = 2**28, 8192, 2**25, 11
#: A process with torch and transformers.
_PROCESS_BYTES, _START_SECONDS = 600 * 2**20, 6.0
_DISK_BYTES_PER_SECOND = 1e9
#: Weights that are read per second where one token is generated at a time, and the least time of a
#: step: Python's, for each layer.
_BYTES_PER_SECOND, _LAYER_SECONDS = 8e9, 4e-4
#: Of a type that is fast in products of matrices: a model does other things beside.
_LEAST_SLOWDOWN = 0.5
#: Where a config does not say so.
_USUAL_VOCABULARY = 2**15
#: A log-likelihood of one token, for each word of the vocabulary and each model.
_WORD_SECONDS = 3e-9
#: A GPU is so many times as fast as this machine's processor: a guess, until something was timed.
_GPU_SPEEDUP = 100.0
#: A guess: questions of a task that is asked whole, and tokens of a question with all its answers.
_QUESTIONS, _QUESTION_TOKENS = 1000, 250
#: Of the demo's tokenizer on its own stories.
_CHARACTERS_PER_TOKEN = 4.5
#: Read in pieces of 16 tokens, a text takes longer by a share that grows with its windows, as every
#: piece unpacks and looks at all before it: on the demo, with 4 bits, 1.3 to 1.9 times for stories
#: and 1.8 to 2.7 for 512 tokens. A cache that is not packed took 1.2 and 1.4 to 1.7, and on others
#: of up to 135 million weights 1.8 to 2.1 for 1024 tokens and 2.6 to 3.0 for 2048. Questions are
#: too short to count.
_PIECES_SHARE, _TOKENS_OF_TWICE, _STORY_TOKENS, _WINDOW_TOKENS = 0.3, 800, 150, 2048
#: Right to such a factor, either way: by count of operations, and judging by earlier jobs.
_SPREAD, _TIMED_SPREAD = 2.5, 1.4


@dataclass(frozen=True, slots=True)
class MeasureEstimate:
    """What a measurement or a generation will take.

    Parameters
    ----------
    models : int
        Models that run, the source among them where it has to.
    tokens : int
        Tokens that each of them reads and writes.
    seconds : float
        What it will probably take.
    memory_bytes : int
        Peak memory, about.
    dtype : ChosenDtype
        The type in which the models run.
    timed_jobs : int
        Jobs on this machine that the time rests on.
    """

    models: int
    tokens: int
    seconds: float
    memory_bytes: int
    dtype: ChosenDtype
    timed_jobs: int = 0

    @property
    def low(self) -> float:
        """What it takes at least, if the estimate is right."""
        return self.seconds / (_TIMED_SPREAD if self.timed_jobs else _SPREAD)

    @property
    def high(self) -> float:
        """What it takes at most, if the estimate is right."""
        return self.seconds * (_TIMED_SPREAD if self.timed_jobs else _SPREAD)

    def at_pace(self, pace: float, *, timed_jobs: int) -> "MeasureEstimate":
        """Return the estimate, corrected by what jobs took over theirs."""
        return replace(self, seconds=self.seconds * pace, timed_jobs=timed_jobs)


@dataclass(frozen=True, slots=True)
class Workload:
    """The models that run, beside what runs on them.

    Parameters
    ----------
    model : ModelReport
        The source.
    num_plans : int
        Plans whose models run.
    has_source : bool
        Whether the source itself has to run, too.
    num_fitted : int
        Plans among them whose attention has to be fitted on the calibration text first.
    dtype : ChosenDtype
        The type in which they run.
    slowdown : float
        Of that type over float32 on this processor.
    device : str
        ``cpu``, or a GPU.
    num_in_pieces : int
        Plans among them whose models read through their caches, piece by piece.
    """

    model: ModelReport
    num_plans: int
    has_source: bool
    num_fitted: int
    dtype: ChosenDtype
    slowdown: float = 1.0
    device: str = "cpu"
    num_in_pieces: int = 0

    @property
    def num_models(self) -> int:
        """Models that run."""
        return self.num_plans + self.has_source

    @property
    def weight_bytes(self) -> int:
        """Of the source's weights, as they run."""
        return self.model.num_weights * _bytes(self.dtype.name)

    def read_seconds(self, tokens: int) -> float:
        """Return what one model takes to read tokens, many at a time."""
        return 2 * self.model.num_weights * tokens / self._speed()

    def step_seconds(self, sequences: int) -> float:
        """Return what one model takes to write a token of every sequence."""
        if self.device != "cpu":
            return 2 * _LAYER_SECONDS / 4 * self.model.spec.num_layers
        reading = self.weight_bytes / _BYTES_PER_SECOND
        steps = _LAYER_SECONDS * self.model.spec.num_layers
        return steps + max(reading, self.read_seconds(sequences))

    def start_seconds(self) -> float:
        """Return what it takes until the first model runs, and to fit what must be fitted."""
        seconds = _START_SECONDS + self.weight_bytes / _DISK_BYTES_PER_SECOND
        if self.num_fitted:
            spec, weights = self.model.spec, self.model.num_weights
            fit = refit_seconds(spec, weights, self.model.num_layer_weights)
            seconds += calibration_seconds(spec, weights) + self.num_fitted * fit
        return seconds

    def memory_bytes(self) -> int:
        """Return what stands in memory whatever is measured: the weights, and another attention."""
        spec = self.model.spec
        heads = 2 * spec.num_query_heads + 2 * spec.num_kv_heads
        attention = spec.num_layers * heads * spec.head_dim * spec.hidden_size
        size = _PROCESS_BYTES + self.weight_bytes
        if self.num_plans:
            size += attention * _bytes(self.dtype.name)
        if self.num_fitted:
            # It is fitted in float32.
            copy = 0 if self.dtype.name == "float32" else 4 * self.model.num_weights
            size += copy + 4 * attention + 2 * 4 * CALIBRATION_TOKENS * spec.hidden_size
        return size

    @property
    def batch_tokens(self) -> int:
        """Tokens that are read at once, at most."""
        return max(1, min(_MOST_TOKENS_OF_A_BATCH, _LOGITS_OF_A_BATCH // self._vocabulary))

    def logits_bytes(self, tokens: int, *, models: int = 1) -> int:
        """Return the predictions for tokens, of each model, and what is made of them in float32."""
        elements = tokens * self._vocabulary
        chunks = 4 * min(elements, _CHUNK_ELEMENTS) * 4
        return models * elements * _bytes(self.dtype.name) + chunks

    @property
    def _vocabulary(self) -> int:
        return self.model.vocab_size or _USUAL_VOCABULARY

    def _speed(self) -> float:
        if self.device != "cpu":
            return _GPU_SPEEDUP * model_speed()
        return model_speed() / max(self.slowdown, _LEAST_SLOWDOWN)


def estimate_evaluation(work: Workload, benchmark: Benchmark, *, tokens: int) -> MeasureEstimate:
    """Return what an evaluation takes.

    Parameters
    ----------
    work : Workload
        The models.
    benchmark : Benchmark
        What is measured.
    tokens : int
        Of the benchmark's text, that each model reads; see :func:`demo_tokens` and
        :func:`~qcqa.measure.evaluable.require_evaluable`.
    """
    questions = len(benchmark.tasks) * (benchmark.limit or _QUESTIONS)
    asked = questions * _QUESTION_TOKENS
    # Behind a plan's model the source reads the same text, to be compared with.
    readings = work.has_source + 2 * work.num_plans
    words = _WORD_SECONDS * (work.model.vocab_size or 0)
    seconds = readings * (work.read_seconds(tokens) + words * tokens)
    seconds += work.num_models * (work.read_seconds(asked) + words * questions)
    longer = _PIECES_SHARE + _window_tokens(benchmark) / _TOKENS_OF_TWICE
    seconds += work.num_in_pieces * longer * work.read_seconds(tokens)
    load = benchmark.speed
    timed = 0
    if load is not None:
        timed = _ROUNDS * load.batch_size * (load.context_tokens + load.new_tokens)
        seconds += readings * _ROUNDS * _turn_seconds(work, load)
    batch = DecodeLoad(work.batch_tokens // 2 or 1, new_tokens=1)
    reading = work.logits_bytes(work.batch_tokens)
    reading += _cache_bytes(work, batch) if work.num_in_pieces else 0
    memory = work.memory_bytes() + max(
        reading if tokens or asked else 0,
        _cache_bytes(work, load) if load else 0,
    )
    return MeasureEstimate(
        work.num_models,
        tokens + asked + timed,
        seconds + work.start_seconds(),
        memory,
        work.dtype,
    )


def estimate_generation(work: Workload, *, prompt_tokens: int, new_tokens: int) -> MeasureEstimate:
    """Return what letting every model go on from a prompt takes."""
    load = DecodeLoad(max(1, prompt_tokens), 1, new_tokens)
    seconds = work.start_seconds() + work.num_models * _turn_seconds(work, load)
    memory = work.memory_bytes() + _cache_bytes(work, load)
    tokens = prompt_tokens + new_tokens
    return MeasureEstimate(work.num_models, tokens, seconds, memory, work.dtype)


def demo_tokens(limit: int | None) -> int:
    """Return about how many tokens the demo's stories have, each of which is one window."""
    path = demo_model_folder() / f"{DEMO_TEXT}.txt"
    stories = path.read_text(encoding="utf-8").split("\n\n")
    share = 1.0 if limit is None else min(1.0, limit / len(stories))
    return round(share * sum(map(len, stories)) / _CHARACTERS_PER_TOKEN)


def _window_tokens(benchmark: Benchmark) -> int:
    """Return about how many tokens of the text are read behind each other."""
    usual = _STORY_TOKENS if benchmark.text == "demo" else _WINDOW_TOKENS
    return min(usual, benchmark.window_tokens or usual)


def _turn_seconds(work: Workload, load: DecodeLoad) -> float:
    """Return what one model takes for one prompt and the tokens after it."""
    prompt = work.read_seconds(load.batch_size * load.context_tokens)
    return prompt + load.new_tokens * work.step_seconds(load.batch_size)


def _cache_bytes(work: Workload, load: DecodeLoad) -> int:
    """Return the KV cache of one sequence, twice: it is copied when it grows."""
    spec = work.model.spec
    per_token = spec.num_stored_heads * spec.head_dim * _bytes(work.dtype.name)
    return 2 * load.batch_size * (load.context_tokens + load.new_tokens) * per_token


def _bytes(dtype: str) -> int:
    """Return the bytes of a number; models may run in a type in which no cache is kept."""
    return DTYPE_BYTES.get(dtype, 8)
