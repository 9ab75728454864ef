exec gunicorn app:app --bind "127.0.0.1:$PORT" --workers "$WORKERS" --worker-class gthread --threads 4 --keep-alive 75
