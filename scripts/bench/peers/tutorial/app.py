"""Flask in the style of tutorials: get_json, a DataFrame of one row, predict, jsonify."""

import joblib
import pandas as pd
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = joblib.load("model.joblib")


@app.route("/predict", methods=["POST"])
def predict() -> Response:
    features = pd.DataFrame([request.get_json()["features"]])
    return jsonify({"prediction": model.predict(features).tolist()})
