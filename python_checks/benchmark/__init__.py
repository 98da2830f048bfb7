"""The benchmark: `python -m python_checks.benchmark --help`."""
