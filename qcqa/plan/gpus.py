"""GPUs on which models are served, and their memory."""

from dataclasses import dataclass

from qcqa.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Gpu:
    """One kind of GPU.

    Parameters
    ----------
    name : str
        Its name, with the memory where there are several sizes.
    memory_gib : float
        Memory as the vendor documents it. Vendors write GB for what their drivers count in GiB;
        the driver and error correction keep up to 7 % of it (``nvidia-smi`` shows what is left).
    source : str
        Document that says so.
    """

    name: str
    memory_gib: float
    source: str


#: In the order of a list to choose from: the vendors' larger ones first.
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("B300 288GB", 288, "NVIDIA Blackwell Ultra data sheet"),
        Gpu("B200 180GB", 180, "NVIDIA DGX B200 data sheet: 1,440 GB in 8 GPUs"),
        Gpu("H200 141GB", 141, "NVIDIA H200 data sheet"),
        Gpu("H100 NVL 94GB", 94, "NVIDIA H100 NVL data sheet"),
        Gpu("H100 80GB", 80, "NVIDIA H100 data sheet"),
        Gpu("A100 80GB", 80, "NVIDIA A100 data sheet"),
        Gpu("A100 40GB", 40, "NVIDIA A100 data sheet"),
        Gpu("RTX PRO 6000 96GB", 96, "NVIDIA RTX PRO 6000 Blackwell data sheet"),
        Gpu("L40S 48GB", 48, "NVIDIA L40S data sheet"),
        Gpu("A10 24GB", 24, "NVIDIA A10 data sheet"),
        Gpu("L4 24GB", 24, "NVIDIA L4 data sheet"),
        Gpu("T4 16GB", 16, "NVIDIA T4 data sheet"),
        Gpu("RTX 5090 32GB", 32, "NVIDIA GeForce RTX 5090 specifications"),
        Gpu("RTX 4090 24GB", 24, "NVIDIA GeForce RTX 4090 specifications"),
        Gpu("MI355X 288GB", 288, "AMD Instinct MI355X data sheet"),
        Gpu("MI325X 256GB", 256, "AMD Instinct MI325X data sheet"),
        Gpu("MI300X 192GB", 192, "AMD Instinct MI300X data sheet"),
    )
}


def gpu_named(name: str) -> Gpu:
    """Return a GPU by its name, with or without its memory; case, spaces and hyphens do not count.

    Raises
    ------
    SettingsError
        If there is none of this name, or it comes with several sizes of memory.
    """
    wanted = _bare(name)
    found = [
        gpu
        for gpu in GPUS.values()
        if wanted in (_bare(gpu.name), _bare(gpu.name.rpartition(" ")[0]))
    ]
    if len(found) == 1:
        return found[0]
    raise SettingsError(
        f"GPU {name!r}" + (" comes with several sizes of memory" if found else ""),
        expected="one of " + ", ".join(gpu.name for gpu in (found or GPUS.values())),
        remedy=None if found else "for another GPU give its memory",
    )


def _bare(name: str) -> str:
    return name.casefold().replace(" ", "").replace("-", "")
