"""What a converted folder's model writes: where this project is installed, and where it is not.

``.ci/run`` calls it in both places and compares. Usage: ``generate.py FOLDER {qcqa,transformers}``.
"""

import sys
from importlib.util import find_spec

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "Carla is three years old. Dora is twelve years old. How old is Dora?"


def main(folder: str, library: str) -> None:
    if library == "qcqa":
        import qcqa

        model = qcqa.load(folder)
    else:
        assert find_spec("qcqa") is None, "this project is installed here: nothing is shown by this"
        model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        written = model.generate(prompt, max_new_tokens=30, min_new_tokens=30, do_sample=False)
    print(tokenizer.decode(written[0], skip_special_tokens=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
