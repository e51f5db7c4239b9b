"""The run that the dashboard shows first belongs to the model that travels with it."""

from qcqa.checkpoint import open_checkpoint
from qcqa.packaged import demo_run_folder
from qcqa.runs.run import open_run


def test_the_included_run_is_finished_and_of_the_included_model() -> None:
    folder = demo_run_folder()
    assert folder is not None
    run = open_run(folder, bundled=True)
    assert run.status().state == "finished"
    result = run.result()
    assert set(result.fronts) == {"mha", "gqa", "mqa", "qcqa-ac", "qcqa-ec", "optimal", "best"}
    assert result.grams.fingerprint == open_checkpoint("demo").fingerprint()
