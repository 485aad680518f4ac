"""What we added to CoDi, one addition a file. Some act in sampling, some in training; `recipes.py` lists them."""
