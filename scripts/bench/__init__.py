"""The parts of bench_l2.py."""
