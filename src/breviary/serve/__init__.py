"""Summaries for others: the registered model, and what speaks to it."""
