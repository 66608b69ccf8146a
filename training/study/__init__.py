"""The paper's study in miniature, on sixty sounds: questions → base models, tuned ones → verdicts."""
