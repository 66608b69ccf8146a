"""A run: a model is asked what a specification holds, and its answers are stored."""
