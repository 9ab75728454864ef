"""Mutation testing: small wrong changes of the code that unit tests must notice."""
