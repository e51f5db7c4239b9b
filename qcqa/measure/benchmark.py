"""What is measured on a model: a text, tasks of lm-evaluation-harness, the speed of generation."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import model_validator

from qcqa.errors import EvaluationError
from qcqa.files.user_path import user_path
from qcqa.packaged import DEMO_TEXT

#: What installs the harness that tasks need: the extra ``eval``, without this project's name.
INSTALL_HARNESS = "pip install 'lm_eval>=0.4.13,<0.4.14'"


@dataclass(frozen=True, slots=True)
class DecodeLoad:
    """What generation is measured on.

    Parameters
    ----------
    context_tokens : int
        Length of each prompt, in tokens.
    batch_size : int
        Prompts at a time.
    new_tokens : int
        Tokens that are timed after each prompt, one by one.

    Raises
    ------
    EvaluationError
        If a number is below one.
    """

    context_tokens: int
    batch_size: int = 1
    new_tokens: int = 32

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise EvaluationError(f"{name} = {getattr(self, name)}", expected="at least 1")

    @property
    def data(self) -> str:
        """What measurements call this load."""
        return f"decode, context {self.context_tokens}, batch {self.batch_size}"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is measured on every model, beside the bytes of its KV cache.

    Parameters
    ----------
    text : str or None
        Text file for perplexity and next-token accuracy, or ``demo``: its held-out stories, which
        it never saw.
    tasks : tuple of str
        Tasks of lm-evaluation-harness; see :func:`qcqa.measure.evaluate_tasks`.
    limit : int or None
        At most so many windows of the text, and questions of each task.
    window_tokens : int or None
        Tokens of the text that the model reads at once.
    speed : DecodeLoad or None
        What speed and memory of generation are measured on, source and plan in turns.
    limit_of : str
        What ``limit`` counts of the text: ``windows``, or ``documents`` in what was measured
        before windows were counted.
    allow_task_code : bool
        Whether tasks in YAML files may run what they name; figures are the same in either case.

    Raises
    ------
    EvaluationError
        If nothing is to be measured.
    """

    text: str | None = None
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    window_tokens: int | None = None
    speed: DecodeLoad | None = None
    limit_of: Literal["windows", "documents"] = "windows"
    allow_task_code: bool = field(default=False, compare=False)

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_meant(cls, content: Any) -> Any:
        """Read a benchmark that was written before windows were counted, and does not say so."""
        if not isinstance(content, dict) or "limit_of" in content:
            return content
        # Every one of the demo's stories is one window, so there both are the same.
        is_same = content.get("text") == "demo" and content.get("window_tokens") is None
        is_of_documents = content.get("text") and content.get("limit") and not is_same
        return {**content, "limit_of": "documents" if is_of_documents else "windows"}

    def __post_init__(self) -> None:
        if self.text is None and not self.tasks and self.speed is None:
            raise EvaluationError(
                "nothing to measure", expected="a text, at least one task, or the decode speed"
            )

    def is_of_text(self, text: str) -> bool:
        """Return whether the text is meant by a path, or by its name in measurements."""
        if self.text is None:
            return False
        is_same_path = self.text != "demo" and user_path(text).resolve() == user_path(self.text)
        return text in (self.text, self.text_name) or is_same_path

    @property
    def text_name(self) -> str:
        """What measurements call the text; empty where there is none."""
        if self.text is None:
            return ""
        return DEMO_TEXT if self.text == "demo" else user_path(self.text).stem
