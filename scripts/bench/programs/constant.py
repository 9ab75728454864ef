"""The upper bounds in `./ship bench`: constant answers by the service's own server, settings and Python.

`python3 constant.py flask` is a Flask route, `python3 constant.py bare` a WSGI callable; both run inside its image.
"""

import os
import sys
import time

import msgspec
from flask import Flask, Response

from app.model import Predictor
from app.server import Server
from app.settings import Settings

settings = Settings.from_environment(os.environ)
predictor = Predictor.load(settings.model_dir)
card = predictor.card
price = next(row.prediction for row in card.golden if None not in row.features.values())
BODY = msgspec.json.encode(
    {
        "prediction": [price],
        "interval": [[price + card.interval.lower, price + card.interval.upper]],
        "unit": card.target.unit,
        "model": {"name": card.name, "version": card.version},
        "warnings": [],
    }
)
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def bare(_environ, start_response):
    start_response("200 OK", HEADERS)
    return (BODY,)


flask = Flask(__name__)


@flask.post("/predict")
def predict() -> Response:
    return Response(BODY, content_type="application/json")


class Constant(Server):
    def load(self):
        super().load()  # the server needs it
        return {"flask": flask, "bare": bare}[sys.argv[1]]


Constant(settings, predictor, time.monotonic()).run()
