"""Tests of aim_operator.cli.everyday."""
