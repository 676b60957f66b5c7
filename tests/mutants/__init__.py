"""Mutants: faults that someone could introduce, each as a patch of `src`, and the tests that must detect them."""
