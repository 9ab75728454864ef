exec mlflow models serve --model-uri model --env-manager local --host 127.0.0.1 --port "$PORT" --workers "$WORKERS"
