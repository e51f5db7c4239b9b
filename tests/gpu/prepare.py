"""Fetch the wheels that ``run.py`` needs on a machine without a package registry.

Run it where there is one, for the Python and the platform of the machine with the GPU::

    python tests/gpu/prepare.py --python-version 3.12

and copy the checkout there, with ``tests/gpu/wheels``. Several versions and platforms may be named:
``--python-version 3.11 3.12 --platform manylinux_2_17_aarch64``.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from gpu_checks.wheels import FOLDER, fetch

_LINUX = ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_28_x86_64")


def main() -> int:
    """Fetch the wheels, and say what is there."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="default: %(default)s")
    parser.add_argument(
        "--python-version",
        nargs="+",
        default=["{}.{}".format(*sys.version_info)],
        help="of the machine with the GPU; default: %(default)s, as here",
    )
    parser.add_argument(
        "--platform",
        nargs="+",
        default=_LINUX,
        help="platform tags of that machine, as pip takes them; default: Linux on x86-64",
    )
    options = parser.parse_args()
    try:
        fetch(options.folder, python_versions=options.python_version, platforms=options.platform)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    wheels = sorted(options.folder.glob("*.whl"))
    for wheel in wheels:
        print(wheel.name)
    print(f"{len(wheels)} wheels, {sum(one.stat().st_size for one in wheels) / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
