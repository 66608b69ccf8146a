"""`ltu-serve`: decisions and chat over HTTP in the forms that OpenAI's and TypeSafe's clients send.

A request goes guard (host, key, size, a place) → form (pydantic) → prompt and clips → query → ticket →
response.
"""
