"""Small wrong changes of the code, each of which a unit test has to notice."""
