"""Runs as zip files, and copies of others' runs taken among one's own."""

import io
import json
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qcqa.errors import RunError
from qcqa.jobs import archive
from qcqa.jobs.archive import pack_run, write_archive
from qcqa.jobs.clock import utc_now
from qcqa.jobs.evaluations import create_evaluation, evaluations_of
from qcqa.jobs.home import runs_folder
from qcqa.jobs.loading import load_run
from qcqa.jobs.run import Run, open_run
from qcqa.jobs.status import RunStatus
from qcqa.jobs.store import annotate_run, list_runs, rename_run
from qcqa.measure.benchmark import Benchmark
from qcqa.packaged import demo_run_folder
from qcqa.pick.points import points_at

#: Bits per token of one head of the demo model: 32 elements of 16 bits.
HEAD = 512


@pytest.fixture
def packed(search: Run, tmp_path: Path) -> Path:
    """Return the zip of a finished search that is not among the user's runs any more."""
    path = tmp_path / "packed.zip"
    pack_run(search, path)
    shutil.rmtree(search.folder)
    return path


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as file:
        return file.namelist()


def _nothing_was_left() -> bool:
    folder = runs_folder()
    return not folder.exists() or not list(folder.iterdir())


def test_a_packed_run_comes_back_as_it_was(search: Run, tmp_path: Path) -> None:
    annotate_run(rename_run(search, "Renamed"), "Noted")
    points = points_at(search.result(), 48 * HEAD)
    evaluation = create_evaluation(search, points=points, benchmark=Benchmark(text="demo"))
    evaluation.write_status(RunStatus(state="finished", fraction=1.0))
    pack_run(search, tmp_path / "packed.zip")
    fronts = {path.name: path.read_bytes() for path in search.folder.glob("fronts/*")}
    shutil.rmtree(search.folder)

    loaded = load_run(tmp_path / "packed.zip")
    assert (loaded.id, loaded.name, loaded.note) == (search.id, "Renamed", "Noted")
    assert loaded.config == search.config
    assert {path.name: path.read_bytes() for path in loaded.folder.glob("fronts/*")} == fronts
    assert loaded.status().state == "finished"
    assert set(loaded.result().fronts) == {"mha", "gqa", "mqa", "optimal"}
    assert [one.id for one in evaluations_of(loaded)] == [evaluation.id]
    assert [path.name for path in runs_folder().iterdir()] == [search.id]


def test_the_same_run_gives_the_same_bytes(search: Run, tmp_path: Path) -> None:
    pack_run(search, tmp_path / "one.zip")
    (search.folder / "config.json").touch()
    pack_run(search, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_what_is_made_again_and_what_is_a_process_own_stays_behind(
    search: Run, tmp_path: Path
) -> None:
    for name in (
        "calibration/moment-000.safetensors",
        "fitted/some.safetensors",
        "measured/source-ab.safetensors",
        "measured/ab.json",
        ".worker.lock",
        "evaluations/one/.status.json.1.tmp",
    ):
        path = search.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (search.folder / "link").symlink_to("/etc/hostname")
    pack_run(search, tmp_path / "packed.zip")
    names = {name.removeprefix(f"{search.id}/") for name in _names(tmp_path / "packed.zip")}
    assert {"config.json", "status.json", "grams.safetensors", "measured/ab.json"} <= names
    assert not {name for name in names if name.startswith((".", "calibration", "fitted", "link"))}
    assert not {name for name in names if "source-" in name or ".tmp" in name}
    pack_run(search, tmp_path / "whole.zip", with_calibration=True)
    assert f"{search.id}/calibration/moment-000.safetensors" in _names(tmp_path / "whole.zip")


def test_the_included_run_is_packed_with_what_was_added_to_it(tmp_path: Path) -> None:
    folder = demo_run_folder()
    assert folder is not None
    demo = open_run(folder, bundled=True)
    (demo.additions / "measured").mkdir(parents=True)
    (demo.additions / "measured" / "mine.json").write_text("{}")
    pack_run(demo, tmp_path / "demo.zip")
    loaded = load_run(tmp_path / "demo.zip")
    assert loaded.id != "demo"
    assert not loaded.bundled
    assert loaded.measured() == demo.measured()
    assert (loaded.folder / "measured" / "mine.json").exists()


def test_an_evaluation_alone_is_not_packed(search: Run, tmp_path: Path) -> None:
    evaluation = create_evaluation(
        search, points=points_at(search.result(), 48 * HEAD), benchmark=Benchmark(text="demo")
    )
    with pytest.raises(RunError, match="is of kind evaluation"):
        pack_run(evaluation, tmp_path / "packed.zip")
    assert not list(tmp_path.glob("*.zip*"))


def test_a_copied_folder_is_loaded_and_stays_where_it_was(search: Run, tmp_path: Path) -> None:
    copy = tmp_path / "from a colleague"
    shutil.copytree(search.folder, copy)
    loaded = load_run(copy)
    # No blanks in an id, which is typed on command lines.
    assert loaded.id not in (search.id, copy.name)
    assert len(list_runs()) == 3
    assert open_run(copy).config == loaded.config
    assert load_run(search.folder).id != search.id


def test_a_taken_id_is_not_taken_twice(search: Run) -> None:
    file = io.BytesIO()
    write_archive(search, file)
    first, second = load_run(file), load_run(file)
    assert len({search.id, first.id, second.id}) == 3


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_was_at_work_elsewhere_is_not_at_work_here(
    search: Run, tmp_path: Path, state: str
) -> None:
    evaluation = create_evaluation(
        search, points=points_at(search.result(), 48 * HEAD), benchmark=Benchmark(text="demo")
    )
    for one in (search, evaluation):
        one.write_status(RunStatus(state=state, queued=utc_now(), pid=1, fraction=0.5))  # type: ignore[arg-type]  # a state
    pack_run(search, tmp_path / "packed.zip")
    loaded = load_run(tmp_path / "packed.zip")
    for one in (loaded, *evaluations_of(loaded)):
        assert one.status().state == "dead"
        assert one.status().pid is None
        assert one.status().fraction == 0.5


def _rewritten(path: Path, change: Callable[[zipfile.ZipFile], None]) -> Path:
    with zipfile.ZipFile(path, "a") as file:
        change(file)
    return path


def _add(name: str, content: str = "x", *, mode: int = 0o644) -> Callable[[zipfile.ZipFile], None]:
    def add(file: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        file.writestr(info, content)

    return add


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("../outside.txt", 0o644),
        ("20260101-000000-demo-0000/../../outside.txt", 0o644),
        ("/tmp/outside.txt", 0o644),
        ("..\\outside.txt", 0o644),
        ("C:/outside.txt", 0o644),
        ("20260101-000000-demo-0000/link", stat.S_IFLNK | 0o777),
    ],
)
def test_a_zip_that_leads_elsewhere_is_refused(packed: Path, name: str, mode: int) -> None:
    before = sorted(packed.parent.rglob("outside*"))
    with pytest.raises(RunError, match="leads elsewhere"):
        load_run(_rewritten(packed, _add(name, "/etc/passwd", mode=mode)))
    assert _nothing_was_left()
    assert sorted(packed.parent.rglob("outside*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other/config.json", "holds no run"),
        ("20260101-000000-demo-0000/config.json", "twice"),
    ],
)
def test_a_zip_of_more_than_one_run_is_refused(packed: Path, name: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        load_run(_rewritten(packed, _add(name)))
    assert _nothing_was_left()


def test_a_zip_that_would_fill_the_disk_is_refused(
    packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 2**20)
    bomb = _rewritten(packed, _add("20260101-000000-demo-0000/zeros.txt", "0" * 2**21))
    with pytest.raises(RunError, match="unpack it yourself"):
        load_run(bomb)
    assert _nothing_was_left()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_unpacks_without_measure_is_refused(packed: Path, compression: int) -> None:
    with zipfile.ZipFile(packed, "a", compression) as file:
        file.writestr("20260101-000000-demo-0000/zeros.txt", "0" * 2**20)
    with pytest.raises(RunError, match="another method"):
        load_run(packed)


def test_an_entry_that_lies_about_its_size_is_refused(packed: Path) -> None:
    content = bytearray(packed.read_bytes())
    # The size of the last file, in the last record of the zip's directory.
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = (3).to_bytes(4, "little")
    packed.write_bytes(content)
    with pytest.raises(RunError, match="no zip file that can be read"):
        load_run(packed)
    assert _nothing_was_left()


def test_a_mac_s_zip_and_one_without_a_folder_are_loaded(packed: Path, tmp_path: Path) -> None:
    loaded = load_run(_rewritten(packed, _add("__MACOSX/._20260101-000000-demo-0000")))
    assert loaded.id == "20260101-000000-demo-0000"
    bare = tmp_path / "bare.zip"
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(bare, "w") as new:
        for name in old.namelist():
            if not name.startswith("__"):
                new.writestr(name.partition("/")[2], old.read(name))
    assert load_run(bare).config == loaded.config


def test_a_file_that_is_no_zip_or_no_run_is_refused(tmp_path: Path) -> None:
    text, empty, folder = tmp_path / "text.zip", tmp_path / "empty.zip", tmp_path / "folder"
    text.write_text("no zip")
    zipfile.ZipFile(empty, "w").close()
    folder.mkdir()
    for source, said in (
        (text, "no zip file"),
        (empty, "holds no run"),
        (folder, "no run directory"),
        (tmp_path / "nowhere", "there is no file"),
    ):
        with pytest.raises(RunError, match=said):
            load_run(source)
    assert _nothing_was_left()


def test_code_is_left_behind(packed: Path, search: Run, tmp_path: Path) -> None:
    for name in ("task.yaml", "evaluations/code.py", "binary"):
        _rewritten(packed, _add(f"20260101-000000-demo-0000/{name}"))
    loaded = load_run(packed)
    names = {path.name for path in loaded.folder.rglob("*")}
    assert "config.json" in names
    assert not {"task.yaml", "code.py", "binary"} & names
    (loaded.folder / "task.yaml").touch()
    pack_run(loaded, tmp_path / "again.zip")
    assert not [name for name in _names(tmp_path / "again.zip") if name.endswith(".yaml")]
    assert loaded.config == search.config


def _edited(packed: Path, name: str, content: bytes) -> Path:
    edited = packed.with_name("edited.zip")
    with zipfile.ZipFile(packed) as old, zipfile.ZipFile(edited, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, content if entry.endswith(name) else old.read(entry))
    return edited


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", b"{", "is damaged"),
        ("config.json", b'{"model_type": "llama"}', "no run directory"),
        ("config.json", json.dumps({"format": "qcqa-run", "version": 99}).encode(), "version 99"),
        ("status.json", b'{"state": "dancing"}', "status.json is damaged"),
        ("grams.safetensors", b"no tensors", "grams.safetensors is damaged"),
        ("gqa.plans.parquet", b"no table", "gqa.plans.parquet"),
    ],
)
def test_a_damaged_run_is_refused_by_the_name_that_the_user_knows(
    packed: Path, name: str, content: bytes, said: str
) -> None:
    edited = _edited(packed, name, content)
    with pytest.raises(RunError, match=said) as problem:
        load_run(edited)
    assert ".loading" not in problem.value.one_line()
    assert "\n" not in problem.value.one_line()
    assert _nothing_was_left()


def test_tables_that_do_not_fit_together_are_refused(packed: Path) -> None:
    with zipfile.ZipFile(packed) as file:
        other = file.read("20260101-000000-demo-0000/fronts/lower_bound.parquet")
    with pytest.raises(RunError, match="is damaged: it has 0 columns layer"):
        load_run(_edited(packed, "gqa.candidates.parquet", other))
    assert _nothing_was_left()


def test_a_folder_with_a_link_in_it_is_refused(search: Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(search.folder, copy)
    (copy / "log.txt").unlink(missing_ok=True)
    (copy / "log.txt").symlink_to("/etc/hostname")
    with pytest.raises(RunError, match="is a link"):
        load_run(copy)
    assert [path.name for path in runs_folder().iterdir()] == [search.id]
