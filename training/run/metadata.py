"""What the Hugging Face Hub reads at the top of a model card."""

import re

from huggingface_hub import ModelCardData

from ltu.training.config import Config, Source

_LICENSES = """
afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m
bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0
cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0
cdla-sharing-1.0 creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 gemma gfdl gpl
gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit
mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense
wtfpl zlib
"""
LICENSES = frozenset(_LICENSES.split())
"""The Hub's identifiers (huggingface.co/docs/hub/repositories-licenses)."""
HUB = re.compile(r"https://huggingface\.co/(datasets/)?(?P<id>[\w.-]+/[\w.-]+)/?")


def front_matter(config: Config) -> str:
    """YAML between two lines of ---. Names that are none of the Hub's stay in the card's text alone."""
    license = config.license.lower()
    known = license in LICENSES
    data = ModelCardData(
        license=license if known else "other",
        license_name=None if known else re.sub(r"[^a-z0-9.]+", "-", license).strip("-"),
        base_model=_hub_id(config.base.source),
        datasets=list(filter(None, map(_hub_id, config.data.datasets))) or None,
        library_name="ltu-engine",
        pipeline_tag="audio-text-to-text",
        tags=["audio", "ltu"],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _hub_id(source: Source) -> str | None:
    """Of a model or data set that lies on the Hub: org/name."""
    match = HUB.fullmatch(source.url)
    return match["id"] if match else None
