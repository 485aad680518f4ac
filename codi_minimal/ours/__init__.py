"""What we added to CoDi, one addition a file. `recipes.py` lists which of them are used when sampling."""
