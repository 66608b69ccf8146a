"""Stored answers, scored: decisions, figures, intervals, causes, comparisons."""
