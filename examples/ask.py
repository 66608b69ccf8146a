"""Asks about one recording: python examples/ask.py bird.wav "Is [AUDIO] a type of bird?" [model.gguf]"""

import sys

import ltu

recording, prompt, *gguf = sys.argv[1:]
model = ltu.load(*gguf)  # without a path: the demo model
clip = ltu.load_audio(recording)

for piece in model.generate(prompt, clip, stream=True):
    print(piece, end="", flush=True)
print()

answers = model.generate(prompt, clip, repeats=4, seed=1)
for answer in answers:
    print(f"{answer.repeat}: {answer.text!r}, log-probability {answer.logprob:.2f}, ended by {answer.stop}")
