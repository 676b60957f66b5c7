"""Services on loopback for the conformance suite: each module has a function `cases()`."""
