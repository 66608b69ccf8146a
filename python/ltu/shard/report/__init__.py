"""A scored run as a reader gets it: one document, its tables, figures, page and export."""
