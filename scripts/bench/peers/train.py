"""The model in the style of tutorials: a scikit-learn pipeline on a DataFrame, with the rows of the service."""

import sys

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

CATEGORIES = ["city", "building", "condition"]
NUMBERS = ["area", "rooms", "bathrooms", "plot", "year_built", "distance", "energy"]

table = pd.read_csv(sys.argv[1])
table["condition"] = table["condition"].fillna("missing")
training, _ = train_test_split(table, test_size=0.2, random_state=0)
columns = ColumnTransformer(
    [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
        ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), CATEGORIES),
    ]
)
model = make_pipeline(columns, Ridge(alpha=1.0, solver="svd"))
model.fit(training[CATEGORIES + NUMBERS], training["price"])
joblib.dump(model, sys.argv[2])
