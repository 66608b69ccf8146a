"""Prompts and clips → what LtuForConditionalGeneration reads, cut and heard as the engine does."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin

from ltu import defaults
from ltu.audio import AudioInput, Clip, load_clips
from ltu.errors import PromptError
from ltu.front_end import FrontEnd
from ltu.prompt import AUDIO, CLIP, Format, Prompter
from ltu.training.model.chat import Message, question_of

Audio = Clip | AudioInput | Sequence[Clip | AudioInput]


class LtuProcessor(ProcessorMixin):
    """A tokenizer that knows [AUDIO], the prompt's template and the front end of the encoder."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompt_template: str = defaults.TEMPLATE,
        bos: bool = True,
        frames: int = defaults.FRAMES,
        mels: int = defaults.MELS,
        chat_template: str | None = None,
    ) -> None:
        """bos: whether prompts begin with BOS. frames, mels: of the encoder's input. Raises PromptError."""
        super().__init__(tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]
        self.prompt_template, self.bos = prompt_template, bos
        self.frames, self.mels = frames, mels
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        bos_id = tokenizer.bos_token_id if bos else None
        self._prompter = Prompter(tokenizer.backend_tokenizer.to_str(), prompt_template, bos_id)

    def __call__(
        self,
        text: str | Sequence[str],
        audio: Audio | Sequence[Audio | None] | None = None,
        format: Format = "interleaved",
    ) -> BatchFeature:
        """One prompt with its clip or clips, or several with one entry of `audio` each.

        A clip is whatever `ltu.load_audio` takes. Returns PyTorch tensors: input_ids and attention_mask
        [batch, positions], padded on the left, with the token of [AUDIO] at each of a clip's 32 positions,
        and input_features [clips, frames, mels] where there are clips. Raises PromptError, AudioError.
        """
        prompts, entries = ([text], [audio]) if isinstance(text, str) else (list(text), audio)
        if entries is None:
            entries = [None] * len(prompts)
        if not isinstance(entries, (list, tuple)) or len(entries) != len(prompts):
            given = len(entries) if isinstance(entries, (list, tuple)) else 1
            raise PromptError(
                f"there are {len(prompts)} prompts and {given} entries of audio; give one for each prompt: a "
                "clip, a list of clips or None"
            )
        front_end = FrontEnd(self.frames, self.mels)
        each = self.frames // defaults.PATCH // defaults.TIME_POOL
        audio_id = self.tokenizer.convert_tokens_to_ids(AUDIO)
        rows, features = [], []
        for prompt, entry in zip(prompts, entries, strict=True):
            sequence = self._prompter.sequence(prompt, load_clips(entry), format)
            rows.append([i for id in sequence.ids for i in ([audio_id] * each if id == CLIP else [id])])
            features += [clip.features(front_end) for clip in sequence.clips]
        width = max(map(len, rows), default=0)
        data: dict[str, Any] = {
            "input_ids": [[self.tokenizer.pad_token_id] * (width - len(row)) + row for row in rows],
            "attention_mask": [[0] * (width - len(row)) + [1] * len(row) for row in rows],
        }
        if features:
            data["input_features"] = np.stack(features)
        return BatchFeature(data, tensor_type="pt")

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Sequence[Message] | Sequence[Sequence[Message]],
        tokenize: bool = False,
        return_dict: bool = False,
        continue_final_message: bool = False,
        **unused: object,
    ) -> Any:
        """A conversation of one question, or several such, in the form of transformers' other models.

        tokenize False: the prompt with [AUDIO], or a list of them; the recordings are not in it. True: with
        `return_dict` what `__call__` returns, else its input_ids. The template that the model was trained
        with is the processor's own: a chat template of its base is not read. Raises PromptError, AudioError.
        """
        if continue_final_message or unused.get("tools"):
            raise PromptError("this model answers one question: it goes on with no answer and calls no tools")
        several = bool(conversation) and not isinstance(conversation[0], Mapping)
        questions = [question_of(one) for one in (conversation if several else [conversation])]  # type: ignore[arg-type]
        texts = [text for text, _ in questions]
        if not tokenize:
            return texts if several else texts[0]
        inputs = self(texts, [clips for _, clips in questions])
        return inputs if return_dict else inputs["input_ids"]

    @property
    def model_input_names(self) -> list[str]:
        return ["input_ids", "attention_mask", "input_features"]
