"""OpenAQA's questions → interleaved prompts: what ltu-reformulate does.

source (openaqa) → which items (subset) → what is asked (prompts) → who answers (api, batch or rules) → is it
usable (checks) → kept (progress) → rows in the source's order (output) → how good (quality, leaks, page).
"""
