"""Saves the model in MLflow's format."""

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(joblib.load("model.joblib"), "model", serialization_format="cloudpickle")
