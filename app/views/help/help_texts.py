"""The words of the page Help."""

from qcqa.reduce.picture import SitePicture

_MHA, _GQA, _MQA = (
    SitePicture(reads) for reads in (tuple(range(8)), (0, 0, 1, 1, 2, 2, 3, 3), (0,) * 8)
)

#: Name, how 8 heads share in two layers, what that is, and what it is about.
PICTURES: tuple[tuple[str, tuple[SitePicture, SitePicture], str], ...] = (
    (
        "MHA",
        (_MHA, _MHA),
        "**MHA: multi-head attention.** Every query head has a K/V head of its own. "
        "The largest cache: KV ratio 1.",
    ),
    (
        "GQA",
        (_GQA, _GQA),
        "**GQA: grouped-query attention.** Neighbours share, equally many in every layer. "
        "Here KV ratio ½. [Paper](https://arxiv.org/abs/2305.13245)",
    ),
    (
        "MQA",
        (_MQA, _MQA),
        "**MQA: multi-query attention.** All heads of a layer share one. "
        "The smallest cache: here KV ratio ⅛. [Paper](https://arxiv.org/abs/1911.02150)",
    ),
    (
        "QCQA",
        (
            SitePicture((0, 1, 2, 3, 0, 1, 1, 4)),
            SitePicture((0, 1, 0, 0, 2, 1, 0, 0)),
        ),
        "**QCQA: quality and capacity-aware grouping.** A search decides which heads share, and "
        "gives more heads to layers that were measured to need them. KV ratio ½ again. "
        "[Paper](https://arxiv.org/abs/2406.10247)",
    ),
)

READING = """
**1** The source: all of its KV cache, no error.

**2** A front: the best plan of one method for every size of the cache. Down and to the left is
better.

**3** GQA at half the cache. It lies above the front: for the same bytes its WSE is larger.
Measured, it may be otherwise.

**4** The grey area ends at the lower bound. No grouping that treats keys and values alike lies
in it.

**5** Your budget. Of every method the plan on this line, or the next one to its left, is marked.

Where a run was measured, switch the vertical axis to a **measured** figure: accuracy and
perplexity are what counts, and the error may mislead.
"""

TERMS = {
    "Head": "In a search, a KV head of the source. In a model that is grouped already, such as "
    "Llama 3, the query heads follow the KV head that they use.",
    "Reduction": "A way to make the cache smaller: heads that share, or fewer bits. A layer may "
    "have both, and its keys others than its values.",
    "Grouping": "Which heads of a layer share one K and one V head.",
    "Bits": "Keys and values as integers of 8, 4, 3 or 2 bits, with scales for small groups. The "
    "newest tokens stay as they are; no weight changes.",
    "Staircase": "Bits by age: the older a block of tokens, the fewer it keeps.",
    "Plan": "What is done to the keys and the values of every layer, and how the heads of a group "
    "become one.",
    "KV cache": "Keys and values of all tokens so far. It grows with context and batch, "
    "and decoding waits for it to be read.",
    "KV ratio": "Bytes of the KV cache over those of the source: 1 is the source, 0.5 is half.",
    "WSE": "Weight-sharing error: squared distance between the heads' weights and their group's "
    "mean. It needs no data, and is not an accuracy.",
    "Relative WSE": "WSE over the squared norm of all K and V weights, so that layers and models "
    "can be compared.",
    "QCQA-AC, QCQA-EC": "Groups of arbitrary, or of equal, cardinality within a layer, found by "
    "WSE; how far each layer is grouped is decided by what the model was measured to lose.",
    "QCQA by WSE": "QCQA-AC or QCQA-EC where only weights are at hand: WSE decides all.",
    "Optimal": "The lowest WSE: the best grouping known for every group count, spread exactly over "
    "the layers. Of all plans the first by WSE, which need not be the first by quality.",
    "Best heads": "Keys and values apart, merged as subspaces, chosen by measured loss and "
    "refitted on a calibration text. No training.",
    "Best bits": "Bits for the keys and for the values of every layer, by measured loss.",
    "Heads \N{MULTIPLICATION SIGN} bits": "Both at once: every layer spends its bytes on heads or "
    "on bits, whichever was measured to lose less.",
    "Merge": "How heads become one: their mean, or a subspace that all of them can use.",
    "Calibration text": "Plain text that the source reads for measured losses and refits. "
    "Never the text that plans are measured on.",
    "Hypervolume": "How much of the chart, up to a fixed reference point, a front beats: from 0 "
    "to 1. It grows while a search improves.",
    "Uptraining": "Fine-tuning after the conversion to win quality back.",
}

QUESTIONS = {
    "No plan fits my budget. What now?": """
With heads alone every layer keeps at least one K and one V head: of H heads nothing is smaller
than 1/H of the source. Let the search use **bits** as well, raise the budget, or lower the load
behind it on **Explore**: a shorter context, a smaller batch, or a cache in 8 bits.
""",
    "WSE says one thing and accuracy another. Which is right?": """
The measured one. WSE looks at weights alone, and a lower WSE is not always a better model: on the
demo model Optimal has the lowest WSE of all at half the cache, and a lower accuracy than GQA. Give
the search a text, so that QCQA measures which layers can be grouped, then measure the plans that
you consider on **Evaluate**.
""",
    "Which preset should I take?": """
**As published** is the paper's search: its second stage runs the model on a calibration text, which
takes memory for the model in float32, and minutes. Without a text it looks at the weights alone and
takes seconds; its plans are then named **by WSE**. **Best quality** looks for the plan to serve,
with heads, bits and both: it needs a text and more time. **Search** says how much of each before it
starts.
""",
    "When has a search run long enough?": """
When the hypervolume has stayed the same for a hundred generations, more will hardly help. Where a
front by WSE reaches **Optimal** or the lower bound, no grouping that treats keys and values
alike has a lower WSE.
""",
    "What can run a converted model?": """
A converted folder holds its own code and opens with transformers:
`AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)`. Its cache holds what the
plan says, packed as it says. Servers with model code of their own, such as vLLM or llama.cpp, do
not know this architecture and cannot run it as it is.
""",
}
