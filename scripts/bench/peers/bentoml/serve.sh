exec bentoml serve service:House --host 127.0.0.1 --port "$PORT"
