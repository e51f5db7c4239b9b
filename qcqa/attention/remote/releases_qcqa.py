"""The releases of transformers with which converted models are tested."""

#: All from the oldest to the newest work; those that are named here run in every check.
OLDEST_TRANSFORMERS = "5.10.1"
MIDDLE_TRANSFORMERS = "5.17.0"
TESTED_TRANSFORMERS = "5.24.0"
