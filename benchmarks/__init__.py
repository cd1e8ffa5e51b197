"""Measurements of what has a promised speed (docs/performance.md). ``python -m benchmarks [NAME …]`` prints JSON."""
