"""Inputs of the models, and the samples that they learn from."""
