"""Tests of aim_operator.cli.fit."""
