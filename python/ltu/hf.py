"""LTU in transformers: importing this makes its Auto classes know the folders that hold one.

import ltu.hf
from transformers import AutoModelForMultimodalLM, AutoProcessor

model, processor = (auto.from_pretrained(FOLDER) for auto in (AutoModelForMultimodalLM, AutoProcessor))
inputs = processor("Is [AUDIO] a type of bird?", "rooster.wav")
print(processor.decode(model.generate(**inputs)[0, inputs.input_ids.shape[1] :], skip_special_tokens=True))
"""

from ltu.errors import needs

with needs("train"):
    from transformers import AutoConfig, AutoModelForMultimodalLM, AutoProcessor

    from ltu.training.model.configuration import LtuConfig
    from ltu.training.model.gguf import from_gguf
    from ltu.training.model.modeling import LtuForConditionalGeneration
    from ltu.training.model.processing import LtuProcessor

__all__ = ["LtuConfig", "LtuForConditionalGeneration", "LtuProcessor", "from_gguf"]

AutoConfig.register(LtuConfig.model_type, LtuConfig)
AutoModelForMultimodalLM.register(LtuConfig, LtuForConditionalGeneration)
AutoProcessor.register(LtuConfig, LtuProcessor)  # type: ignore[no-untyped-call]
