exec uvicorn main:app --host 127.0.0.1 --port "$PORT" --workers "$WORKERS"
