"""Conversion on disk: a complete checkpoint with shared heads, from a checkpoint and a plan."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcqa.conversion.card import model_card
from qcqa.conversion.companions import Companions, companions_of
from qcqa.conversion.converted import SMALL_FILES_BYTES
from qcqa.conversion.layout import Layout, Moments
from qcqa.conversion.ready import refuse_unmappable, refuse_unpackable
from qcqa.conversion.section import config_entry, section_of
from qcqa.conversion.shards import ConvertedShards, Fitted, OnBytes
from qcqa.conversion.source_code import without_foreign_code
from qcqa.conversion.travelling import (
    bits_qcqa,
    blocks_qcqa,
    cache_qcqa,
    families_qcqa,
    hooks_qcqa,
    maps_qcqa,
    modeling_qcqa,
    packed_qcqa,
    releases_qcqa,
    section_qcqa,
    selection_qcqa,
)
from qcqa.conversion.travelling.section_qcqa import Section
from qcqa.errors import CheckpointError, ConversionError
from qcqa.files.places import require_empty, require_room
from qcqa.files.writing import replacing_folder
from qcqa.model.checkpoint import Checkpoint
from qcqa.model.config_keys import CONFIG_FILE
from qcqa.model.opening import open_checkpoint
from qcqa.model.source_model import load_config
from qcqa.plan.file import plan_text
from qcqa.plan.plan import Plan
from qcqa.reading.json_file import read_object
from qcqa.reduce.groups.merge import merge_named

#: The code that runs a converted model.
_CODE = (
    modeling_qcqa, section_qcqa, hooks_qcqa, cache_qcqa, maps_qcqa, selection_qcqa, packed_qcqa,
    blocks_qcqa, bits_qcqa, families_qcqa, releases_qcqa,
)  # fmt: skip


def convert_checkpoint(
    source: str,
    plan: Plan,
    folder: Path,
    *,
    revision: str | None = None,
    moments: Moments | None = None,
    fitted: Fitted | None = None,
    on_bytes: OnBytes | None = None,
    with_source_code: bool = False,
) -> Companions:
    """Write a checkpoint that stores and caches only the plan's shared heads.

    The folder holds all that the model needs: weights, config, the source's tokenizer files, the
    plan, a model card, and the code with which transformers opens it where this library is not
    installed. It appears when it is complete. Memory holds one layer's attention at a time.

    The source's weights and config may be links to anywhere. What else is copied must lie inside
    the source's folder, so that no link brings in a file that is not the model's.

    Parameters
    ----------
    source : str
        A local folder, the id of a model on the Hub, or ``demo``.
    plan : Plan
        Made for this model.
    folder : Path
        New or empty.
    revision : str, optional
        Branch, tag or commit on the Hub; by default that of the plan's own source.
    moments : callable, optional
        Second moments of the attention's inputs by layer, for merges that weigh errors by them;
        by default they go by the weights alone.
    fitted : callable, optional
        Returns a layer's refitted tensors by name, without the model's prefix, in place of the
        merge's; called when the layer's turn comes.
    on_bytes : callable, optional
        Called with the bytes of weights that are written and those of all.
    with_source_code : bool
        Whether code of the source's own, which its tokenizer or processor names by ``auto_map``,
        comes along; otherwise it stays behind, and so do the entries that name it.

    Returns
    -------
    Companions
        What came along from the source beside its weights, and what did not.

    Raises
    ------
    PlanError
        If the plan is for another model.
    CheckpointError
        If the source cannot be read, is of an unknown family or was converted already, or its
        code is to come along and is not in its folder.
    ReductionError
        If a layer's cache cannot keep what the plan chose there.
    ConversionError
        If the folder holds something or the disk has no room.
    """
    require_empty(folder)
    if revision is None and source == plan.model.source:
        revision = plan.model.revision
    checkpoint = open_checkpoint(source, revision=revision)
    checkpoint.require_language_model()
    # Geometry first: that is told from the config, before any weight is read or fetched.
    plan.require_model(checkpoint.spec, plan.fingerprint)
    if plan.has_codecs:
        refuse_unpackable(load_config(checkpoint), plan.layers, checkpoint.spec.source)
    refuse_unmappable(checkpoint.architecture, checkpoint.config, checkpoint.spec, plan.layers)
    merge = merge_named(plan.merge)
    section = section_of(checkpoint.architecture, checkpoint.config, plan.model, plan.layers)
    layout = Layout(checkpoint.architecture, checkpoint.spec, section, checkpoint.config, moments)
    shards = ConvertedShards(checkpoint, layout, merge, plan, fitted)
    config = _config_of(checkpoint)
    companions = companions_of(checkpoint.storage, config, with_source_code=with_source_code)
    require_room(folder, shards.num_bytes + companions.num_bytes + SMALL_FILES_BYTES)
    plan.require_model(checkpoint.spec, checkpoint.fingerprint())
    try:
        with replacing_folder(folder) as new:
            shards.write(new, on_bytes)
            _write_beside(companions, config, section, plan, new)
    except OSError as error:
        raise ConversionError(
            f"{folder} cannot be written ({error.strerror})",
            remedy="choose a folder on a disk with enough room that you may write to",
        ) from error
    return companions


def code_texts() -> dict[str, str]:
    """Return the code that runs a converted model, by the names of its files."""
    code = [Path(str(module.__file__)) for module in _CODE]
    return {path.name: path.read_text(encoding="utf-8") for path in code}


def _write_beside(
    companions: Companions,
    config: Mapping[str, Any],
    section: Section,
    plan: Plan,
    folder: Path,
) -> None:
    """Write all that is beside the weights."""
    config = without_foreign_code(config) | {
        "auto_map": companions.auto_map | modeling_qcqa.auto_map(),
        "qcqa": config_entry(section),
    }
    texts = companions.texts | {
        "config.json": json.dumps(config, indent=2) + "\n",
        "plan.json": plan_text(plan),
        "README.md": model_card(plan, companions),
    }
    for name, path in companions.files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(path, folder / name)
    for name, text in (texts | code_texts()).items():
        (folder / name).write_text(text, encoding="utf-8")


def _config_of(checkpoint: Checkpoint) -> dict[str, Any]:
    path = checkpoint.storage.find("config.json")
    if path is None:
        raise CheckpointError(f"{checkpoint.spec.source} has no config.json any more")
    return read_object(path, CONFIG_FILE)
