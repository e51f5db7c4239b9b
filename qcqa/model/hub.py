"""A model on the Hugging Face Hub, or in its cache where there is no network.

Opening a model fetches its config, its index and the headers of a few shards; a shard itself is
fetched when the first of its tensors is read.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SafetensorsParsingError,
)

from qcqa.errors import CheckpointError
from qcqa.model.safetensors_file import SafetensorsFile
from qcqa.reading.safetensors_file import StoredTensor

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def is_repo_id(source: str) -> bool:
    """Return whether ``source`` can be the id of a model on the Hub."""
    return _REPO_ID.fullmatch(source) is not None


class HubRepository:
    """A model on the Hub, held at the commit that it had when it was opened.

    Parameters
    ----------
    repo_id : str
        As ``org/name``.
    revision : str, optional
        Branch, tag or commit; the main branch by default.

    Raises
    ------
    CheckpointError
        If the model does not exist, needs access rights, or is neither cached nor reachable.
    """

    def __init__(self, repo_id: str, revision: str | None = None):
        self._repo_id = repo_id
        self.revision = revision
        config = self.find("config.json")
        if config is None:
            raise CheckpointError(
                f"{repo_id} on the Hub has no config.json",
                expected="a transformers model",
            )
        # Cached files lie in snapshots/<commit>: all further files are of the same commit.
        self.folder = config.parent
        self.revision = config.parent.name

    def find(self, name: str) -> Path | None:
        """Return the path of a file in the cache, fetched if need be, or None."""
        try:
            with self._errors_of_the_hub():
                return Path(hf_hub_download(self._repo_id, name, revision=self.revision))
        except RemoteEntryNotFoundError:
            return None

    def header(self, name: str) -> Mapping[str, StoredTensor] | None:
        """Return the tensors of a safetensors file by name, from its first bytes, or None."""
        cached = try_to_load_from_cache(self._repo_id, name, revision=self.revision)
        if isinstance(cached, str):
            return SafetensorsFile(Path(cached)).tensors
        try:
            with self._errors_of_the_hub():
                metadata = HfApi().parse_safetensors_file_metadata(
                    self._repo_id, name, revision=self.revision
                )
        except RemoteEntryNotFoundError:
            return None
        return {
            tensor_name: StoredTensor(info.dtype, tuple(info.shape), *info.data_offsets)
            for tensor_name, info in metadata.tensors.items()
        }

    def names(self) -> frozenset[str]:
        """Return the names of the repository's files; only the cached ones without network."""
        try:
            with self._errors_of_the_hub():
                return frozenset(HfApi().list_repo_files(self._repo_id, revision=self.revision))
        except CheckpointError:
            return frozenset(path.name for path in self.folder.iterdir())

    @contextmanager
    def _errors_of_the_hub(self) -> Iterator[None]:
        """Turn what the Hub's client raises into one clear error each.

        A file that the repository does not have stays a ``RemoteEntryNotFoundError``.
        """
        where = f"{self._repo_id} on the Hub"
        if self.revision:
            where += f" (revision {self.revision})"
        try:
            yield
        except RemoteEntryNotFoundError:
            raise
        except GatedRepoError as error:
            raise CheckpointError(
                f"{where} is gated and this account has no access",
                remedy="accept its terms on its page, then run hf auth login",
            ) from error
        except RevisionNotFoundError as error:
            raise CheckpointError(
                f"{where} does not exist", expected="a branch, tag or commit of the model"
            ) from error
        except RepositoryNotFoundError as error:
            raise CheckpointError(
                f"{where} was not found",
                expected="a local folder, the id of a model on the Hub, or 'demo'",
                remedy="check the spelling; if the model is private, run hf auth login",
            ) from error
        except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
            raise CheckpointError(
                f"{where} cannot be reached and is not in the local cache",
                remedy="connect to the network, or give a local folder",
            ) from error
        except SafetensorsParsingError as error:
            raise CheckpointError(f"{where} has a damaged safetensors file ({error})") from error
        except (HfHubHTTPError, OSError) as error:
            raise CheckpointError(
                f"{where} cannot be fetched ({error})", remedy="try again, or give a local folder"
            ) from error
