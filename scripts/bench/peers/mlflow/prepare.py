"""Save the model as MLflow keeps it."""

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(joblib.load("model.joblib"), "model", serialization_format="cloudpickle")
