"""Measures the parts of one request in process, with a real socket pair, gunicorn's parser and the service.

Runs inside the image of the service. Prints JSON: the median of each part in microseconds. The parts are timed between
the system calls of whole requests, where they take twice as long as in a loop of their own.
"""

import json
import os
import socket
import time
from statistics import median

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

from gunicorn import http
from gunicorn.config import Config
from gunicorn.http import wsgi

from app import middleware, request_body
from app.drain import Drain
from app.factory import create_app
from app.log import RequestLog
from app.metrics import Meter
from app.model import Predictor, Schema
from app.settings import Settings

ROUNDS = 5_000
spent: dict[str, list[int]] = {}


def timed(part, function):
    times = spent.setdefault(part, [])

    def call(*arguments, **named):
        started = time.perf_counter_ns()
        try:
            return function(*arguments, **named)
        finally:
            times.append(time.perf_counter_ns() - started)

    return call


settings = Settings.from_environment(os.environ)
predictor = Predictor.load(settings.model_dir)
row = next(golden.features for golden in predictor.card.golden if None not in golden.features.values())
content = json.dumps({"features": row}).encode()
head = "POST /predict HTTP/1.1\r\nHost: localhost:5000\r\nContent-Type: application/json\r\nContent-Length: "
message = f"{head}{len(content)}\r\n\r\n".encode() + content

OUTPUT = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the log of these requests is discarded
middleware.choose_request_id = timed("name the request", middleware.choose_request_id)
Meter.enter, Meter.leave = timed("count it in", Meter.enter), timed("count it out", Meter.leave)
RequestLog.__call__ = timed("log it", RequestLog.__call__)
request_body.read = timed("read the body", request_body.read)
Schema.encode = timed("rows to matrix", Schema.encode)
Schema.find_extrapolations = timed("look for values unlike training", Schema.find_extrapolations)
Predictor.predict = timed("predict", Predictor.predict)
application = timed("the service, all of it", create_app(settings, predictor, Drain()))

client, server = socket.socketpair()
config, address = Config(), ("127.0.0.1", 5000)
parser = http.get_parser(config, server, address)


def receive():
    request = next(parser)
    return wsgi.create(request, server, address, address, config)


def send(response, chunks):
    for chunk in chunks:
        response.write(chunk)
    response.close()


receive = timed("gunicorn: receive, parse, environ", receive)
send = timed("gunicorn: write", send)
finish = timed("gunicorn: ready for the next", lambda: parser.finish_body(deadline=time.monotonic() + 5))
for _ in range(ROUNDS):
    client.sendall(message)
    response, environ = receive()
    send(response, application(environ, response.start_response))
    finish()
    assert client.recv(65_536).startswith(b"HTTP/1.1 200")

parts = {part: median(times[ROUNDS // 10 :]) / 1000 for part, times in spent.items()}
everything = "the service, all of it"
inside = [part for part in parts if part != everything and not part.startswith("gunicorn")]
parts["decode, encode, dispatch, headers"] = parts[everything] - sum(parts[part] for part in inside)
os.write(OUTPUT, json.dumps(parts).encode())
