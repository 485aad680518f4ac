"""The playground: a local web page where any prompts become any outputs. `python -m codi_minimal play` opens it."""
