"""The pipeline behind `./ship`: one module a stage, and the few nouns that the stages share."""
