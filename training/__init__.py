"""Makes a model directory from a table."""
