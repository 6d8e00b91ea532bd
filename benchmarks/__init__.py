"""Measure the cost of the checks, as ratios of figures from one run: `python -m benchmarks`."""
