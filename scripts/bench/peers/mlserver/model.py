"""A model in MLServer's own style: a runtime that decodes the columns of a request into a DataFrame."""

import joblib
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, PandasCodec
from mlserver.types import InferenceRequest, InferenceResponse


class House(MLModel):
    async def load(self) -> bool:
        self.model = joblib.load("model.joblib")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        prediction = self.model.predict(self.decode_request(payload, default_codec=PandasCodec))
        output = NumpyCodec.encode_output("prediction", prediction)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
