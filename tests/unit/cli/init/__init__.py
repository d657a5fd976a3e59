"""Tests of aim_operator.cli.doctor."""
