"""Measurements that are run by hand: `./dev bench`; see docs/benchmarks.md."""
