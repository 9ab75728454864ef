"""The commands of `./ship`, a module each: they ask the other rooms, and say what came of it."""
