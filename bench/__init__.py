"""Measurements of the operator on a real control plane: `python -m bench.converge`, and so on."""
