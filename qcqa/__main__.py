"""``python -m qcqa``: the command line."""

from qcqa.cli.main import main

if __name__ == "__main__":
    main()
