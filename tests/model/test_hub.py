"""Models on the Hub, played by a small server that speaks as much of its protocol as is used."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

from qcqa.errors import CheckpointError
from qcqa.model.opening import open_checkpoint
from qcqa.reduce.groups.read_grams import read_grams

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FIRST, SECOND = (f"model-0000{number}-of-00002.safetensors" for number in (1, 2))


class FakeHub(ThreadingHTTPServer):
    """Serves the files of a folder as the model ``org/model``.

    Parameters
    ----------
    folder : Path
        The files.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts[0] == "api" and parts[1] != "models":
            # What else the client asks for it would keep beside the user's models.
            self.send(404, b"")
            return
        if parts[0] == "api":
            files = [
                {
                    "type": "file",
                    "path": path.relative_to(self.server.folder).as_posix(),
                    "oid": "0",
                    "size": 1,
                }
                for path in self.server.folder.rglob("*")
                if path.is_file()
            ]
            self.send(200, json.dumps(files).encode())
            return
        repo, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        byte_range = self.headers.get("Range")
        self.server.asked.append((self.command, name, byte_range))
        path = self.server.folder / name
        if repo == "org/gated":
            self.send(403, b"", {"X-Error-Code": "GatedRepo"})
        elif repo == "org/broken":
            self.send(400, b"")
        elif repo != "org/model":
            self.send(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif not path.exists():
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            content = path.read_bytes()
            status = 200
            if byte_range:
                first, last = byte_range.removeprefix("bytes=").split("-")
                content, status = content[int(first) : int(last) + 1], 206
            self.send(status, content, {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.fixture
def hub(hand_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    hand_made.write()
    server = FakeHub(hand_made.folder)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Some releases keep there what they are answered to other questions.
    monkeypatch.setattr(
        constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses"), raising=False
    )
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def refusal(source: str, revision: str | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(source, revision=revision)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_opening_fetches_headers_and_reading_fetches_shards(hub: FakeHub) -> None:
    checkpoint = open_checkpoint("org/model")
    assert checkpoint.spec.source == "org/model"
    assert checkpoint.spec.revision == COMMIT
    shards = [one for one in hub.asked if one[1].endswith(".safetensors")]
    assert {byte_range for _, _, byte_range in shards} == {"bytes=0-100000"}

    checkpoint.read_layer(1)
    whole = {name for method, name, byte_range in hub.asked if method == "GET" and not byte_range}
    assert SECOND in whole
    assert FIRST not in whole

    expected = read_grams(open_checkpoint(str(hub.folder)))
    grams = read_grams(checkpoint)
    assert grams.fingerprint == expected.fingerprint
    assert (grams.layers[0].key == expected.layers[0].key).all()


def test_cached_model_needs_no_network(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = read_grams(open_checkpoint("org/model"))
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert read_grams(open_checkpoint("org/model")).fingerprint == expected.fingerprint
    assert read_grams(open_checkpoint("org/model", revision=COMMIT)).spec.revision == COMMIT
    assert len(hub.asked) == asked


def test_files_in_folders_are_listed_and_found(hub: FakeHub) -> None:
    (hub.folder / "chat_templates").mkdir()
    (hub.folder / "chat_templates" / "rag.jinja").write_text("{{ messages }}")
    storage = open_checkpoint("org/model").storage
    assert "chat_templates/rag.jinja" in storage.names()
    found = storage.find("chat_templates/rag.jinja")
    assert found
    assert found.read_text() == "{{ messages }}"


def test_single_file_without_index(hub: FakeHub, hand_made: Any) -> None:
    (hub.folder / "model.safetensors.index.json").unlink()
    for path in hub.folder.glob("*.safetensors"):
        path.unlink()
    first, second = hand_made.shards.values()
    hand_made.shards = {"model.safetensors": first | second}
    hand_made.write()
    (hub.folder / "model.safetensors.index.json").unlink()
    checkpoint = open_checkpoint("org/model")
    assert read_grams(checkpoint).spec.num_layers == 2


def test_pickles_only(hub: FakeHub) -> None:
    for path in hub.folder.glob("model*"):
        path.unlink()
    (hub.folder / "pytorch_model.bin").write_bytes(b"pickle")
    message = refusal("org/model")
    assert "pytorch_model.bin" in message
    assert "save_pretrained" in message


def test_missing_shard(hub: FakeHub) -> None:
    (hub.folder / SECOND).unlink()
    assert f"no file {SECOND}" in refusal("org/model")


def test_no_config(hub: FakeHub) -> None:
    (hub.folder / "config.json").unlink()
    assert "org/model on the Hub has no config.json" in refusal("org/model")


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("org/absent", "check the spelling"),
        ("org/gated", "accept its terms"),
        ("org/broken", "org/broken on the Hub can"),
    ],
)
def test_models_that_cannot_be_had(source: str, words: str) -> None:
    message = refusal(source)
    assert source in message
    assert words in message


@pytest.mark.usefixtures("hub")
def test_no_such_revision() -> None:
    message = refusal("org/model", revision="v9")
    assert "revision v9" in message
    assert "branch, tag or commit" in message


@pytest.mark.usefixtures("hub")
def test_offline_and_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal("org/model")
    assert "not in the local cache" in message
    assert "local folder" in message
