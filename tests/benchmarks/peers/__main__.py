"""The ways to a smaller cache side by side, on the same model, texts and bytes.

``python -m tests.benchmarks.peers --model DIR --calibration FILE --text FILE --ratios 0.5,0.25``

Every peer makes the largest model that it has within each KV ratio (of bytes at 4096 tokens, over
the source's in the type of its weights), and each is measured by the package's own evaluation on
the same windows: perplexity, next-token accuracy, and the divergence of its predictions from the
source's, with standard errors by window that are paired. No model is trained. Minutes are those of
one core from the source to the model, calibration and search included, in one thread
(``OMP_NUM_THREADS=1``). ``--only`` names the peers; what is left out of each stands in its file.

What reads through a cache that loses something reads 16 tokens at a time.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers.utils.logging import disable_progress_bar

from qcqa.errors import QCQAError
from qcqa.measure.text_scores import TextScores
from qcqa.plan.budget import parse_ratio
from qcqa.text.documents import demo_documents, read_documents
from qcqa.text.running import context_limit
from tests.benchmarks.peers import alike, hf_quantized, palu, plans
from tests.benchmarks.peers.ground import Ground, NoneFitsError, Peer
from tests.benchmarks.peers.table import Row, Trial, as_json, figures_of, markdown, measured

PEERS: dict[str, Peer] = {
    peer.name: peer for peer in (*hf_quantized.PEERS, *palu.PEERS, *alike.PEERS, *plans.PEERS)
}


def row_of(ground: Ground, test: Trial, source: TextScores, peer: Peer, ratio: float) -> Row:
    """Return what a peer has within a KV ratio, measured."""
    try:
        made, minutes = ground.timed(lambda: peer.make(ground, ratio))
    except NoneFitsError as error:
        return Row(ratio, peer.name, peer.label, f"none: {error}")
    at_4096, read, figures = measured(ground, test, source, made)
    return Row(ratio, peer.name, peer.label, made.note, at_4096, read, minutes, figures)


def compare(
    ground: Ground,
    test: Trial,
    peers: Sequence[Peer],
    ratios: Sequence[float],
    json_file: Path | None = None,
) -> str:
    """Measure the peers at the ratios and return the table; the file is written row by row."""
    source = test.scores(ground)
    own, rows = figures_of(source, None), []
    for ratio in ratios:
        for peer in peers:
            rows.append(row_of(ground, test, source, peer, ratio))
            print(markdown(rows[-1:], own).splitlines()[-1], file=sys.stderr, flush=True)
            if json_file:
                content = {
                    "model": ground.model,
                    "dtype": str(ground.source.dtype).removeprefix("torch."),
                    "tokens": len(source.nll),
                    "source": own,
                    "rows": [as_json(row) for row in rows],
                }
                json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return markdown(rows, own)


def main() -> None:
    """Run the comparison that the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog=f"Peers: {', '.join(PEERS)}."
    )
    parser.add_argument("--model", required=True, metavar="DIR|demo")
    parser.add_argument("--calibration", required=True, metavar="FILE|demo")
    parser.add_argument("--text", required=True, metavar="FILE|demo", help="another text")
    parser.add_argument("--ratios", default="0.5,0.25", help="KV ratios, such as 0.5,25%%")
    parser.add_argument("--tokens", type=int, help="to score, of the text; all by default")
    parser.add_argument("--window", type=int, default=512, help="tokens that are read at once")
    parser.add_argument("--dtype", default="float32", help="in which models run")
    parser.add_argument("--only", metavar="NAMES", help="peers, all by default")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(PEERS)
    if unknown := [name for name in names if name not in PEERS]:
        parser.error(f"no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    disable_progress_bar()
    is_demo = options.text == "demo"
    if not is_demo and Path(options.text).resolve() == Path(options.calibration).resolve():
        parser.error("--text and --calibration are the same file; measure on another text")
    # Stories are short: in one text, caches of the usual lengths are seen.
    documents = [" ".join(demo_documents())] if is_demo else read_documents(options.text)
    with TemporaryDirectory() as scratch:
        ground = Ground(options.model, options.calibration, Path(scratch), options.dtype)
        window = min(options.window, context_limit(ground.models.config) or options.window)
        table = compare(
            ground,
            Trial(documents, options.tokens, window),
            [PEERS[name] for name in names],
            [parse_ratio(ratio) for ratio in options.ratios.split(",")],
            options.json,
        )
    print(table)


if __name__ == "__main__":
    try:
        main()
    except QCQAError as error:
        sys.exit(f"peers: {error}")
