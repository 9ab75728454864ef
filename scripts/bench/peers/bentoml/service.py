"""A model in BentoML's own style: a service class with an API method."""

import os

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=int(os.environ["WORKERS"]))
class House:
    def __init__(self) -> None:
        self.model = joblib.load("model.joblib")

    @bentoml.api
    def predict(self, features: dict) -> list[float]:
        return self.model.predict(pd.DataFrame([features])).tolist()
