"""LitServe with dynamic batching: the same model, one picture per request.

python -m bench.references.litserve_app DATA_FOLDER VERSION PORT
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from fastapi import Request

from bench.references.loading import MAX_PIXELS, load
from worker.data.decode import decode

#: Maximum pictures in a batch, and seconds that the first one waits for others.
BATCH_SIZE, TIMEOUT_S = 64, 0.01


class Classify(litserve.LitAPI):
    """One model in one process that uses all cores."""

    def setup(self, _device: str) -> None:
        """Load the model."""
        self.model = load(Path(sys.argv[1]), sys.argv[2])

    def decode_request(self, request: Request) -> Any:
        """Return the pixels. LitServe passes the posted form because of the annotation."""
        shape = self.model.card.input
        return decode(request["file"].file.read(), shape.height, shape.width, MAX_PIXELS)

    def batch(self, inputs: list[Any]) -> Any:
        """Return the pictures of several requests as one array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """Return the scores."""
        return self.model.forward(x)

    def unbatch(self, output: Any) -> Any:
        """Return the scores of each picture."""
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the best class and its score."""
        return {"label": int(output.argmax()), "score": float(output.max())}


if __name__ == "__main__":
    api = Classify(max_batch_size=BATCH_SIZE, batch_timeout=TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[3]), generate_client_file=False, log_level="warning")
