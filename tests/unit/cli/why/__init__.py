"""Tests of aim_operator.cli.why."""
