"""What is shown: tables of text, as terminal columns, Markdown, CSV and HTML pages that need nothing else."""
