"""The article that the project starts from, as published and as corrected."""
