"""The paper's study in miniature, on ESC-10: questions → base, FT-Small, FT-Large, controls → verdicts."""
