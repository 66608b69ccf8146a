"""An LTU model for lm-evaluation-harness: answers, and log-likelihoods, also about audio."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lm_eval.api.instance import Instance  # type: ignore[import-not-found,unused-ignore]
from lm_eval.api.model import LM  # type: ignore[import-not-found,unused-ignore]
from lm_eval.api.registry import register_model  # type: ignore[import-not-found,unused-ignore]
from lm_eval.utils import simple_parse_args_string  # type: ignore[import-not-found,unused-ignore]

from ltu.audio import Clip, load_audio
from ltu.model import load
from ltu.prompt import AUDIO, PromptSequence
from ltu.query import Query
from ltu.sampling import Sampling
from ltu.shard.harness.tasks import PLACEHOLDER

GREEDY = Sampling(temperature=0)
DEFAULT_DEVICE = "cuda:0"  # the harness's own, whether there is a card or not


@register_model("ltu")
class LtuModel(LM):  # type: ignore[misc]  # lm_eval is untyped
    MULTIMODAL = True

    def __init__(
        self, gguf: str | None = None, device: str = "auto", threads: int | None = None, **_: Any
    ) -> None:
        """`--model_args gguf=m.gguf,device=cpu,threads=2`."""
        super().__init__()
        self.model = load(gguf, device, threads)

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> "LtuModel":
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> "LtuModel":
        """What the harness adds gives way to the arguments; its device counts where it isn't the default."""
        own = {name: value for name, value in (additional_config or {}).items() if value is not None}
        if own.get("device") == DEFAULT_DEVICE:
            del own["device"]
        return cls(**own | arg_dict)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """One answer each, cut at the first of `until`; all are computed together."""
        settings = [request.args[1] for request in requests]
        queries = (
            Query(
                self._sequence(request.args[0], request.args[2:]),
                sampling=self._sampling(asked),
                max_new_tokens=asked.get("max_gen_toks"),
                tag=index,
            )
            for index, (request, asked) in enumerate(zip(requests, settings, strict=True))
        )
        texts = {answer.tag: answer.text for answer in self.model.answers(queries)}
        return [_cut(texts[index], asked.get("until") or []) for index, asked in enumerate(settings)]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood of the continuation, whether greedy decoding gives it), untempered."""
        pairs = [
            (
                self._sequence(request.args[0], request.args[2:]),
                tuple(self.model.prompter.continuation(request.args[1])),
            )
            for request in requests
        ]
        return self._scores(pairs)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of a whole text after BOS."""
        start = PromptSequence((self.model.info["tokenizer.ggml.bos_token_id"],))
        texts = [tuple(self.model.prompter.continuation(request.args[0])) for request in requests]
        return [score for score, _ in self._scores([(start, ids) for ids in texts])]

    def _scores(self, pairs: Sequence[tuple[PromptSequence, tuple[int, ...]]]) -> list[tuple[float, bool]]:
        score = (Query(s, mode="score", continuations=(ids,), tag=i) for i, (s, ids) in enumerate(pairs))
        scores = {answer.tag: answer.logprob for answer in self.model.answers(score)}
        follow = (
            Query(s, sampling=GREEDY, max_new_tokens=len(ids), tag=i) for i, (s, ids) in enumerate(pairs)
        )
        greedy = {answer.tag: answer.token_ids for answer in self.model.answers(follow)}
        return [(scores[i], greedy[i] == ids) for i, (_, ids) in enumerate(pairs)]

    def _sequence(self, context: str, rest: Sequence[dict[str, Any]]) -> PromptSequence:
        return self.model.prompter.sequence(context.replace(PLACEHOLDER, AUDIO), _clips(rest))

    def _sampling(self, asked: dict[str, Any]) -> Sampling:
        """The model file's, with what the task says; greedy unless it samples."""
        if not asked.get("do_sample"):
            return GREEDY
        names = ("temperature", "top_k", "top_p", "repetition_penalty")
        return replace(self.model.sampling, **{name: asked[name] for name in names if name in asked})


def _clips(rest: Sequence[dict[str, Any]]) -> list[Clip]:
    return [load_audio(a["array"], a["sampling_rate"]) for extra in rest for a in extra.get("audio", ())]


def _cut(text: str, until: str | Sequence[str]) -> str:
    for end in [until] if isinstance(until, str) else until:
        text = text.split(end)[0]
    return text
