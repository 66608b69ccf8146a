"""LTU's own settings: what a checkpoint or model file that says nothing else is trained and run with.

Sources are files of the original code, github.com/YuanGongND/ltu (src/ltu).
"""

from ltu.sampling import Sampling

# How answers are drawn: inference_gradio.py
SAMPLING = Sampling(temperature=0.1, top_k=500, top_p=0.95, repetition_penalty=1.1)
MAX_NEW_TOKENS = 400

# What is trained on: finetune.py and its prompt template, alpaca_short.json
TEMPLATE = "### Instruction:\n{prompt}\n\n### Response:\n"
LORA_RANK, LORA_ALPHA = 8, 16
LORA_TARGETS = ("q_proj", "v_proj")

# The front end: inference_gradio.py; mean and deviation are AudioSet's
SAMPLE_RATE = 16_000  # Hz
FRAMES, MELS = 1024, 128
FEATURE_MEAN, FEATURE_STD = -5.081, 4.4849

# Encoder and projector: transformers' modeling_llama.py as the original changed it
PATCH = 16  # frames and bins of a patch
HEAD_WIDTH = 64
TIME_POOL = 2  # neighbours in time whose mean is one embedding
EMBEDDINGS = FRAMES // PATCH // TIME_POOL  # of a clip: its positions in the language model
PROJECTOR_DIVISOR = 50.0  # of the encoder's output, before the projector's LayerNorm
LAYER_NORM_EPSILON = 1e-5  # of every LayerNorm in encoder and projector
