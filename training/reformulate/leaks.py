"""Prompts that ask, as a yes/no question, about a term that SHARD asks about."""

import re
from functools import cache

from ltu.shard.spec.labels import named
from ltu.shard.spec.words import shipped_words

# A clause that opens with an auxiliary verb. "Can you describe …" is a request, "Can you hear …" a question.
YES_NO = re.compile(
    r"(?:^|[.:;,!?\]])\s*(?:and |so |then )?"
    r"(?:is|isn't|are|aren't|was|were|do|does|doesn't|did|has|have|had|can|could|would|will|might|should)\s"
    r"(?!you (?:please |also )*"
    r"(?:tell|describe|list|name|identify|explain|give|provide|classify|say|infer|determine|specify|guess)\b)"
    r"[^?]*\?",
    re.IGNORECASE,
)


@cache
def _terms() -> dict[str, str]:
    """Each term and its plural → the term, of the 78 words and of ESC-10's."""
    words = [*shipped_words("words"), *shipped_words("esc10")]
    terms = {term for word in words for term in word.all_terms}
    return {form: term for term in sorted(terms) for form in (term, f"{term}s")}


def leaked(prompt: str) -> list[str]:
    """SHARD's synonyms and hypernyms that a prompt's yes/no questions hold."""
    questions = " ".join(match.group() for match in YES_NO.finditer(prompt))
    return list(dict.fromkeys(_terms()[form] for form in named(questions, _terms()))) if questions else []
