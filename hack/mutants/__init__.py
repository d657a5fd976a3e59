"""Single faults of the operator that stand for real ones, and the command that has the tests find them.

A mutant is one change of one place in src/: a wake-up that is left out, a precondition that is not sent.
If no test fails with it, either a test is missing, or the code is not needed. `make mutants` runs all.
"""
