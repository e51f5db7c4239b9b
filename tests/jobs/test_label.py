"""Names and notes that people give runs."""

from pathlib import Path

import pytest

from qcqa.errors import RunError
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.store import annotate_run, create_run, find_run, rename_run
from qcqa.packaged import demo_run_folder
from qcqa.search.strategy.config import SearchSettings


@pytest.fixture
def run() -> Run:
    return create_run(
        model="some/model", methods=("optimal",), settings=SearchSettings(), name="First"
    )


def test_a_run_is_called_as_it_was_made_until_it_is_renamed(run: Run) -> None:
    config = (run.folder / "config.json").read_bytes()
    assert (run.name, run.note) == ("First", "")
    renamed = rename_run(run, "  Llama,\n 300\tgenerations ")
    noted = annotate_run(renamed, " The one in the table.\nSecond line. ")
    for one in (noted, open_run(run.folder), find_run(run.id)):
        assert one.name == "Llama, 300 generations"
        assert one.note == "The one in the table.\nSecond line."
    assert (run.folder / "config.json").read_bytes() == config
    assert annotate_run(noted, "").note == ""


def test_renaming_keeps_the_note(run: Run) -> None:
    assert rename_run(annotate_run(run, "a note"), "Second").note == "a note"


@pytest.mark.parametrize(
    ("name", "said"), [(" \n\u200b", "name is empty"), ("x" * 201, "at most 200")]
)
def test_a_name_that_nobody_can_read_is_refused(run: Run, name: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        rename_run(run, name)
    assert open_run(run.folder).name == "First"


def test_a_note_that_is_a_book_is_refused(run: Run) -> None:
    with pytest.raises(RunError, match="at most 10000"):
        annotate_run(run, "x" * 10_001)


@pytest.mark.parametrize("content", ["{", '{"version": 99, "name": "x"}', '{"name": 3}', "\xff"])
def test_a_label_that_cannot_be_read_hides_no_run(run: Run, content: str) -> None:
    (run.folder / "label.json").write_text(content, encoding="latin-1")
    assert open_run(run.folder).name == "First"


def test_the_included_run_keeps_its_name() -> None:
    folder = demo_run_folder()
    assert folder is not None
    before = sorted(folder.iterdir())
    included = open_run(folder, bundled=True)
    for act in (rename_run, annotate_run):
        with pytest.raises(RunError, match="came with the package"):
            act(included, "mine")
    assert sorted(Path(folder).iterdir()) == before
