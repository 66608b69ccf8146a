"""The specification of a benchmark: words, ontology, clips, and the questions that are made of them."""
