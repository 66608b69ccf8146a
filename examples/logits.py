"""Below the text: how likely is each next token? python examples/logits.py bird.wav [model.gguf]"""

import sys

import numpy as np

import ltu

recording, *gguf = sys.argv[1:]
model = ltu.load(*gguf)
clip = ltu.load_audio(recording)

prompt = model.prompter.sequence("Is [AUDIO] a type of bird?", [clip])
clips = iter(prompt.clips)
sequence = [next(clips) if token == -1 else token for token in prompt.ids]  # token ids and one clip

logits = model.logits(sequence)
print(f"{len(sequence)} places, {logits.shape[0]} positions, {logits.shape[1]} tokens")
for name, sampling in (("model", ltu.Sampling()), ("sampler", model.sampling)):
    probabilities = sampling.probabilities(logits[-1], prompt.ids)
    best = np.argsort(-probabilities)[:5]
    print(name, [(model.prompter.decode([token]), round(float(probabilities[token]), 4)) for token in best])
