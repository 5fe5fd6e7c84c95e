"""The original application: every request loads the model and predicts.

python -m bench.references.original_app MODEL.h5 PORT
"""

from __future__ import annotations

import sys

import keras
import numpy as np
from flask import Flask, jsonify, request
from PIL import Image
from werkzeug import Response

app = Flask(__name__)


@app.post("/")
def classify() -> Response:
    """Return the best class of the picture in the body, and its score."""
    model = keras.models.load_model(sys.argv[1])
    image = Image.open(request.stream).convert("RGB").resize((32, 32))
    scores = model.predict(np.asarray(image)[np.newaxis] / 255, verbose=0)[0]
    return jsonify(label=int(scores.argmax()), score=float(scores.max()))


if __name__ == "__main__":
    app.run(port=int(sys.argv[2]))
