"""Images as the Open Container Initiative defines them: names, layouts, layers, registries."""
